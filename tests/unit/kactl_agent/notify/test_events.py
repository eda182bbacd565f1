"""What an event is worth telling. Where a line or a mail is spelled out here, it was taken from keepalived 2.2.7."""

from __future__ import annotations

import pytest

from kactl_agent.notify.events import (
    SILENT,
    Mail,
    Notification,
    ScriptCall,
    group_event,
    instance_event,
    lower_priority_event,
    priority_event,
    quorum_body,
    quorum_event,
    server_event,
    state_line,
)
from kactl_agent.notify.settings import ItemNotify
from kactl_agent.tracking.settings import Command

KEYWORDS = ("notify", "notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_deleted")
EVERYTHING = ItemNotify(
    {word: Command((f"/x/{word}",)) for word in (*KEYWORDS, "notify_master_rx_lower_pri")}, mail=True
)


def calls(notification: Notification) -> list[tuple[str, ...]]:
    return [(call.command.arguments[0].removeprefix("/x/"), *call.arguments) for call in notification.scripts]


@pytest.mark.parametrize("state", ["MASTER", "BACKUP", "FAULT", "STOP"])
def test_an_instance_runs_the_script_of_its_state_and_then_the_generic_one(state: str) -> None:
    event = instance_event(EVERYTHING, "VI_1", state, 150)
    assert calls(event) == [(f"notify_{state.lower()}",), ("notify", "INSTANCE", "VI_1", state, "150")]
    assert event.lines == (f'INSTANCE "VI_1" {state} 150',)


@pytest.mark.parametrize("state", ["MASTER", "BACKUP", "FAULT", "STOP"])
def test_a_group_has_priority_0(state: str) -> None:
    event = group_event(EVERYTHING, "VG", state)
    assert calls(event) == [(f"notify_{state.lower()}",), ("notify", "GROUP", "VG", state, "0")]
    assert event.lines == (f'GROUP "VG" {state} 0',)


@pytest.mark.parametrize(
    ("state", "mail"),
    [
        ("MASTER", Mail("VRRP Instance V1 - Entering MASTER state", "=> VRRP Instance is now owning VRRP VIPs <=")),
        (
            "BACKUP",
            Mail("VRRP Instance V1 - Entering BACKUP state", "=> VRRP Instance is no longer owning VRRP VIPs <="),
        ),
        ("FAULT", Mail("VRRP Instance V1 - Entering FAULT state", "=> VRRP Instance is no longer owning VRRP VIPs <=")),
        ("STOP", Mail("VRRP Instance V1 - Stopping", "=> VRRP Instance stopping <=")),
    ],
)
def test_mails_about_instances(state: str, mail: Mail) -> None:
    assert instance_event(EVERYTHING, "V1", state, 1).mail == mail
    assert instance_event(SILENT, "V1", state, 1).mail is None


@pytest.mark.parametrize(
    ("state", "mail"),
    [
        (
            "MASTER",
            Mail("VRRP Group G - Entering MASTER state", "=> All VRRP group instances are now in MASTER state <="),
        ),
        (
            "BACKUP",
            Mail("VRRP Group G - Entering BACKUP state", "=> All VRRP group instances are now in BACKUP state <="),
        ),
        ("FAULT", Mail("VRRP Group G - Entering FAULT state", "=> All VRRP group instances are now in FAULT state <=")),
        ("STOP", Mail("VRRP Group G - Stopping", "=> All VRRP group instances are now stopping <=")),
    ],
)
def test_mails_about_groups(state: str, mail: Mail) -> None:
    assert group_event(EVERYTHING, "G", state).mail == mail


def test_faults_may_be_worth_no_mail() -> None:
    assert instance_event(EVERYTHING, "V", "FAULT", 1, fault_mails=False).mail is None
    assert group_event(EVERYTHING, "G", "FAULT", fault_mails=False).mail is None
    assert instance_event(EVERYTHING, "V", "BACKUP", 1, fault_mails=False).mail is not None
    assert group_event(EVERYTHING, "G", "BACKUP", fault_mails=False).mail is not None


def test_what_a_reload_takes_away_is_at_fault_but_runs_no_notify_fault() -> None:
    event = instance_event(EVERYTHING, "V4", "STOP", 104, removed=True)
    assert calls(event) == [("notify", "INSTANCE", "V4", "FAULT", "104")]
    assert event.lines == ('INSTANCE "V4" FAULT 104',)
    assert event.mail is not None
    assert event.mail.subject == "VRRP Instance V4 - Entering FAULT state"


def test_with_notify_deleted_it_is_deleted() -> None:
    deleted = ItemNotify(EVERYTHING.scripts, mail=True, deleted=True)
    event = instance_event(deleted, "V3", "STOP", 108, removed=True)
    assert calls(event) == [("notify_deleted",), ("notify", "INSTANCE", "V3", "DELETED", "108")]
    assert event.lines == ('INSTANCE "V3" DELETED 108',)
    assert event.mail == Mail("VRRP Instance V3 - Deleted", "=> VRRP Deleted at reload <=")


def test_a_lower_priority_heard_as_master_is_no_change_of_state() -> None:
    event = lower_priority_event(EVERYTHING, "V3", 103)
    assert calls(event) == [("notify_master_rx_lower_pri",)]
    assert event.lines == ('INSTANCE "V3" MASTER_RX_LOWER_PRI 103',)
    assert event.mail is None


def test_changes_of_priority_are_lines_of_masters_and_backups() -> None:
    master, backup = priority_event("V3", "MASTER", 108), priority_event("V3", "BACKUP", 9)
    assert master is not None
    assert backup is not None
    assert (master.lines, backup.lines) == (
        ('INSTANCE "V3" MASTER_PRIORITY 108',),
        ('INSTANCE "V3" BACKUP_PRIORITY 9',),
    )
    assert master.scripts == ()
    assert master.mail is None
    assert priority_event("V3", "FAULT", 9) is None
    assert priority_event("V3", "INIT", 9) is None


def test_events_of_one_item_share_a_queue_and_others_do_not() -> None:
    assert instance_event(EVERYTHING, "V", "MASTER", 1).queue == lower_priority_event(EVERYTHING, "V", 1).queue
    queues = {
        instance_event(EVERYTHING, "V", "MASTER", 1).queue,
        group_event(EVERYTHING, "V", "MASTER").queue,
        quorum_event("V", True).queue,
        server_event("V", "V", True).queue,
        server_event("V", "W", True).queue,
    }
    assert len(queues) == 5


def test_servers() -> None:
    """Lines and subjects as in the list of keepalived's interfaces."""
    up = Command(("/x/up",))
    event = server_event(
        "[10.0.0.1]:tcp:80", "[192.0.2.1]:tcp:80", False, up, mail=True, body="=> TCP CHECK failed on service <="
    )
    assert event.scripts == (ScriptCall(up),)
    assert event.lines == ("RS [10.0.0.1]:tcp:80 [192.0.2.1]:tcp:80 DOWN",)
    assert event.mail == Mail(
        "Realserver [10.0.0.1]:tcp:80 of virtual server [192.0.2.1]:tcp:80 - DOWN", "=> TCP CHECK failed on service <="
    )
    event = quorum_event("FWM 7", True, mail=True, body=quorum_body(True, 2, 1, 5))
    assert event.lines == ("VS FWM 7 UP",)
    assert event.mail == Mail("Virtualserver FWM 7 - UP", "=> Gained quorum 2+1=3 <= 5 <=")
    assert quorum_event("FWM 7", True).mail is None


def test_bodies_about_quorums() -> None:
    """As keepalived 2.2.7 sent them, with its signs."""
    assert quorum_body(True, 2, 1, 3, starting=True) == "=> Starting with quorum up 2+1=3 <= 3 <="
    assert quorum_body(False, 2, 1, 0) == "=> Lost quorum 2+1=1 <= 0 <="
    assert quorum_body(True, 2, 1, 3) == "=> Gained quorum 2+1=3 <= 3 <="


def test_the_line_of_a_state() -> None:
    assert state_line("GROUP", "G", "MASTER", 0) == 'GROUP "G" MASTER 0'
