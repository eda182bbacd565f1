"""Who is told about events: what is said for an instance, for all of VRRP, and for everything."""

from __future__ import annotations

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.notify import FifoWish, NotifyWishes, OwnScriptWish
from kactl_agent.config.resolve import Resolution, resolve
from kactl_agent.config.secrets import resolve_secrets
from kactl_agent.notify.settings import ItemNotify, Recipient, Security
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.settings import SECOND

HEAD = "interface: eth0, virtual_router_id: 51, virtual_ipaddress: [192.0.2.10/24]"
RELAY = "smtp_server: 192.0.2.25, notification_email: [a@example.org]"


def resolution(instance: str = "", global_defs: str = "", group: str = "") -> Resolution:
    blocks = [f"vrrp_instance:\n  VI: {{{HEAD}, {instance}}}\n"]
    if global_defs:
        blocks.insert(0, f"global_defs: {{{global_defs}}}\n")
    if group:
        blocks.append(f"vrrp_sync_group:\n  VG: {{group: [VI], {group}}}\n")
    document = bind("".join(blocks), "agent.yaml")
    assert document.errors == []
    return resolve(resolve_secrets(document, environ={"RELAY_PASSWORD": "hunter2"}))


def wishes(instance: str = "", global_defs: str = "", group: str = "") -> NotifyWishes:
    return resolution(instance, global_defs, group).settings.notify


def codes(found: Resolution) -> set[str]:
    return {diagnostic.code for diagnostic in found.diagnostics} - {"not-served"}


def test_without_a_word_nobody_is_told() -> None:
    assert wishes() == NotifyWishes()


def test_scripts_of_an_instance() -> None:
    found = wishes(
        "notify_master: /bin/m, notify_backup: {command: /bin/b 'two words', user: joe, group: ops}, notify: /bin/any, "
        "notify_fault: /bin/f, notify_stop: /bin/s, notify_master_rx_lower_pri: /bin/l"
    )
    scripts = found.vrrp.instances["VI"].scripts
    assert scripts["notify_backup"] == Command(("/bin/b", "two words"), "joe", "ops")
    assert set(scripts) == {
        "notify_master",
        "notify_backup",
        "notify_fault",
        "notify_stop",
        "notify",
        "notify_master_rx_lower_pri",
    }
    assert (("vrrp_instance", "VI", "notify_master"), Command(("/bin/m",))) in found.places
    assert len(found.places) == 6


def test_scripts_of_a_group() -> None:
    found = wishes(group="notify_master: /bin/m, notify: /bin/any")
    assert found.vrrp.groups == {
        "VG": ItemNotify({"notify_master": Command(("/bin/m",)), "notify": Command(("/bin/any",))})
    }
    assert (("vrrp_sync_group", "VG", "notify"), Command(("/bin/any",))) in found.places


@pytest.mark.parametrize(
    ("said", "scripts"), [("true", {}), ("/bin/gone", {"notify_deleted": Command(("/bin/gone",))})]
)
def test_notify_deleted_needs_no_script(said: str, scripts: dict[str, Command]) -> None:
    assert wishes(f"notify_deleted: {said}").vrrp.instances == {"VI": ItemNotify(scripts, deleted=True)}


def test_an_unclosed_quote_is_an_error_with_its_place() -> None:
    [found] = [each for each in resolution('notify: "/bin/n \'oops"').diagnostics if each.code == "unclosed-quote"]
    assert found.place.line == 2


@pytest.mark.parametrize(
    ("instance", "global_defs", "mail", "source"),
    [
        ("", RELAY, False, "default"),
        ("", f"{RELAY}, smtp_alert: true", True, "global_defs"),
        ("", f"{RELAY}, smtp_alert: true, smtp_alert_vrrp: false", False, "global_defs"),
        ("smtp_alert: true", f"{RELAY}, smtp_alert: false, smtp_alert_vrrp: false", True, "vrrp_instance VI"),
        ("smtp_alert: false", f"{RELAY}, smtp_alert: true", False, "vrrp_instance VI"),
    ],
)
def test_the_item_comes_before_vrrp_and_that_before_everything(
    instance: str, global_defs: str, mail: bool, source: str
) -> None:
    found = resolution(instance, global_defs)
    assert found.settings.notify.vrrp.instances.get("VI", ItemNotify()).mail is mail
    assert found.sources["VI"]["smtp_alert"] == source


@pytest.mark.parametrize(
    ("group", "global_defs", "mail"),
    [
        ("smtp_alert: true", RELAY, True),
        ("smtp_alert: false", f"{RELAY}, smtp_alert: true", False),
        ("notify: /bin/n", f"{RELAY}, smtp_alert: true", True),
        ("notify: /bin/n", f"{RELAY}, smtp_alert: true, smtp_alert_vrrp: false", False),
        ("notify: /bin/n", RELAY, False),
    ],
)
def test_mail_about_groups(group: str, global_defs: str, mail: bool) -> None:
    assert wishes("smtp_alert: false", global_defs, group).vrrp.groups.get("VG", ItemNotify()).mail is mail


def test_faults_without_mail() -> None:
    assert wishes().vrrp.fault_mails
    assert not wishes(global_defs="no_email_faults: true").vrrp.fault_mails


def test_the_relay() -> None:
    mail = wishes(
        global_defs="router_id: lb1, smtp_server: {host: mail.example.org, port: 587}, smtp_helo_name: h, "
        "smtp_connect_timeout: 7, notification_email_from: from@example.org, "
        'notification_email: [a@example.org, "Some One <b@example.org>"], '
        "smtp_tls: starttls, smtp_user: me, smtp_password: {env: RELAY_PASSWORD}"
    ).mail
    assert mail is not None
    assert (mail.host, mail.port, mail.helo_name, mail.subject_prefix) == ("mail.example.org", 587, "h", "lb1")
    assert mail.sender == Recipient("from@example.org", "from@example.org")
    assert mail.recipients[1] == Recipient("b@example.org", "Some One <b@example.org>")
    assert mail.timeout == 7 * SECOND
    assert (mail.security, mail.server_name) == (Security.STARTTLS, "mail.example.org")
    assert (mail.user, mail.password) == ("me", "hunter2")


@pytest.mark.parametrize(("tls", "port"), [("none", 25), ("starttls", 25), ("implicit", 465)])
def test_the_port_of_the_relay_goes_with_how_it_is_protected(tls: str, port: int) -> None:
    mail = wishes(global_defs=f"{RELAY}, smtp_tls: {tls}").mail
    assert mail is not None
    assert mail.port == port


def test_a_password_never_crosses_the_network_in_the_clear() -> None:
    found = resolution(global_defs=f"{RELAY}, smtp_user: me, smtp_password: secret")
    assert "smtp-clear-password" in codes(found)
    assert "secret" not in str(found.diagnostics)


@pytest.mark.parametrize("said", ["smtp_user: me", "smtp_password: secret"])
def test_a_user_and_a_password_go_together(said: str) -> None:
    assert "smtp-credentials" in codes(resolution(global_defs=f"{RELAY}, smtp_tls: starttls, {said}"))


@pytest.mark.parametrize(
    ("global_defs", "missing"),
    [
        ("notification_email: [a@example.org]", "smtp_server"),
        ("smtp_server: 192.0.2.25", "notification_email"),
        ("router_id: x", "smtp_server and notification_email"),
    ],
)
def test_mail_that_goes_nowhere_is_said(global_defs: str, missing: str) -> None:
    found = resolution("smtp_alert: true", global_defs)
    [warning] = [each for each in found.diagnostics if each.code == "mail-nowhere"]
    assert f"without {missing} no mail" in warning.message
    assert found.settings.notify.mail is None


def test_fifos_and_their_readers() -> None:
    found = wishes(
        global_defs="notify_fifo: /run/x/all, vrrp_notify_fifo: {path: /run/x/vrrp, user: joe, group: ops}, "
        "vrrp_notify_fifo_script: {command: /bin/read it, user: jim}, fifo_write_vrrp_states_on_reload: true"
    )
    assert found.fifos == {
        "notify_fifo": FifoWish("/run/x/all"),
        "vrrp_notify_fifo": FifoWish("/run/x/vrrp", "joe", "ops", Command(("/bin/read", "it"), "jim")),
    }
    assert found.vrrp.states_on_reload


def test_a_fifo_is_there_once() -> None:
    found = resolution(global_defs="notify_fifo: /run/x, vrrp_notify_fifo: /run/x")
    assert codes(found) == {"fifo-twice"}
    assert set(found.settings.notify.fifos) == {"notify_fifo"}


def test_a_fifo_has_an_absolute_path() -> None:
    assert "fifo-path" in codes(resolution(global_defs="notify_fifo: x"))


def test_a_reader_without_a_fifo_is_said() -> None:
    assert codes(resolution(global_defs="lvs_notify_fifo_script: /bin/x")) == {"fifo-script"}


def test_scripts_of_the_agent_itself() -> None:
    found = wishes(
        global_defs="startup_script: /bin/start, startup_script_timeout: 3, "
        "shutdown_script: {command: /bin/end, user: joe}"
    )
    assert found.own == {
        "startup_script": OwnScriptWish(Command(("/bin/start",)), 3 * SECOND),
        "shutdown_script": OwnScriptWish(Command(("/bin/end",), "joe"), 10 * SECOND),
    }
