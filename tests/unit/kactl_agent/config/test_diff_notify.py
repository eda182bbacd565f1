"""What a reload changes about notifications."""

from __future__ import annotations

import msgspec
import pytest

from kactl_agent.config.diff import Side, plan
from kactl_agent.config.diff_notify import _GLOBAL, _ITEM, _MAIL
from kactl_agent.config.impact import Impact
from kactl_agent.notify.settings import (
    FifoSettings,
    ItemNotify,
    MailSettings,
    OwnScript,
    Recipient,
    SupervisorNotify,
    VrrpNotify,
)
from kactl_agent.tracking.settings import Command, Executable
from kactl_agent.vrrp.settings import SyncGroupSettings
from support.vrrp import make_settings

ONE, TWO = Command(("/x/one", "secret")), Command(("/x/two",))
RUN = Executable(("/x/one", "secret"), 0, 0)
VI = make_settings(name="VI")
MAIL = MailSettings(
    host="192.0.2.25", port=25, helo_name="h", sender=Recipient("f", "f"), recipients=(), subject_prefix="r"
)


def side(
    notify: VrrpNotify | None = None, own: SupervisorNotify | None = None, mail: MailSettings | None = None
) -> Side:
    return Side(
        vrrp=(VI,),
        sync_groups=(SyncGroupSettings(name="VG", members=("VI",)),),
        vrrp_notify=notify or VrrpNotify(),
        own_notify=own or SupervisorNotify(),
        mail=mail,
    )


def said(old: Side, new: Side) -> list[tuple[str, str]]:
    changes = plan(old, new)
    assert {change.impact for change in changes} <= {Impact.HITLESS}
    return [(change.subject, change.text) for change in changes]


def test_every_setting_is_decided() -> None:
    assert set(ItemNotify.__struct_fields__) == {*_ITEM, "scripts"}
    assert set(VrrpNotify.__struct_fields__) == {*_GLOBAL, "instances", "groups", "executables", "fifos"}
    assert set(MailSettings.__struct_fields__) == set(_MAIL)
    assert set(SupervisorNotify.__struct_fields__) == {"shutdown", "fifos"}


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (ItemNotify(), ItemNotify({"notify": ONE}), "notify changes"),
        (ItemNotify({"notify": ONE}), ItemNotify({"notify_master": TWO}), "notify, notify_master change"),
        (ItemNotify({"notify": ONE}), ItemNotify({"notify": TWO}, mail=True), "notify, smtp_alert change"),
        (ItemNotify(), ItemNotify({"notify_deleted": ONE}, deleted=True), "notify_deleted changes"),
    ],
)
def test_by_item_and_keyword(old: ItemNotify, new: ItemNotify, text: str) -> None:
    before, after = VrrpNotify(instances={"VI": old}), VrrpNotify(instances={"VI": new})
    assert said(side(before), side(after)) == [("vrrp_instance VI", text)]
    before, after = VrrpNotify(groups={"VG": old}), VrrpNotify(groups={"VG": new})
    assert said(side(before), side(after)) == [("vrrp_sync_group VG", text)]


def test_a_script_that_can_be_run_only_now_is_a_change() -> None:
    items = {"VI": ItemNotify({"notify": ONE})}
    before, after = VrrpNotify(instances=items), VrrpNotify(instances=items, executables=((ONE, RUN),))
    assert said(side(before), side(after)) == [("vrrp_instance VI", "notify changes")]


def test_of_an_instance_that_comes_or_goes_only_that_is_said() -> None:
    new = side(VrrpNotify(instances={"VI": ItemNotify({"notify": ONE})}))
    assert [change.text for change in plan(Side(), new) if "notify" in change.text] == []


def test_fifos_and_scripts_of_the_agent() -> None:
    a = SupervisorNotify(fifos={"notify_fifo": FifoSettings("/a", 0, 0)})
    b = SupervisorNotify(fifos={"notify_fifo": FifoSettings("/b", 0, 0, RUN)}, shutdown=OwnScript(RUN))
    nothing = SupervisorNotify()
    assert said(side(own=nothing), side(own=a)) == [("global_defs", "notify_fifo /a is written to")]
    assert [text for _, text in said(side(own=a), side(own=b))] == [
        "notify_fifo is /b and not /a, whose readers see the end",
        "notify_fifo_script changes",
        "shutdown_script changes",
    ]
    text = "notify_fifo /a is not written to any more: its readers see the end"
    assert said(side(own=a), side(own=nothing)) == [("global_defs", text)]


def test_the_relay_without_its_password() -> None:
    other = msgspec.structs.replace(MAIL, host="192.0.2.26", port=587, password="hunter2")
    assert [text for _, text in said(side(mail=MAIL), side(mail=other))] == [
        "smtp_server changes",
        "smtp_password changes",
    ]
    assert said(side(), side(mail=MAIL)) == [("global_defs", "mails are sent")]
    assert said(side(mail=MAIL), side()) == [("global_defs", "no mail is sent any more")]


def test_for_all() -> None:
    new = VrrpNotify(fault_mails=False, states_on_reload=True)
    assert [text for _, text in said(side(), side(new))] == [
        "no_email_faults changes",
        "fifo_write_vrrp_states_on_reload changes",
    ]
