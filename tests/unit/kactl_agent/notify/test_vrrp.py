"""From transitions to what is told, in keepalived's order."""

from __future__ import annotations

from kactl_agent.notify.events import Notification
from kactl_agent.notify.settings import ItemNotify, VrrpNotify
from kactl_agent.notify.vrrp import VrrpNotifier
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.actions import GroupTransition, LowerPriorityReceived, State, Transition

INIT, BACKUP, MASTER, FAULT = State.INIT, State.BACKUP, State.MASTER, State.FAULT
ANY = ItemNotify({"notify": Command(("/x/any",))})


def change(old: State, new: State, priority: int = 100) -> Transition:
    return Transition(old, new, "cause", "detail", priority, b"")


def group(old: State, new: State, name: str = "G") -> GroupTransition:
    return GroupTransition(name, old, new, "cause", "detail")


def lines(notifications: list[Notification]) -> list[str]:
    return [line for notification in notifications for line in notification.lines]


def test_events_are_told_as_they_come() -> None:
    notifier = VrrpNotifier(VrrpNotify())
    assert lines(notifier.transition("V1", change(BACKUP, MASTER, 101))) == ['INSTANCE "V1" MASTER 101']
    assert lines(notifier.group_transition(group(BACKUP, MASTER))) == ['GROUP "G" MASTER 0']
    received = LowerPriorityReceived(b"\x0a\0\0\1", 7)
    assert lines(notifier.lower_priority("V1", received, 101)) == ['INSTANCE "V1" MASTER_RX_LOWER_PRI 101']
    assert lines(notifier.priority_changed("V1", MASTER, 103)) == ['INSTANCE "V1" MASTER_PRIORITY 103']
    assert notifier.priority_changed("V1", FAULT, 103) == []


def test_at_a_start_groups_that_begin_as_backup_come_first() -> None:
    """keepalived 2.2.7, two instances in a group and one that is not."""
    notifier = VrrpNotifier(VrrpNotify())
    notifier.begin()
    assert notifier.transition("V1", change(INIT, BACKUP, 101)) == []
    assert notifier.transition("V2", change(INIT, BACKUP, 102)) == []
    assert notifier.group_transition(group(INIT, BACKUP)) == []
    assert notifier.transition("V3", change(INIT, BACKUP, 103)) == []
    assert lines(notifier.end()) == [
        'GROUP "G" BACKUP 0',
        'INSTANCE "V1" BACKUP 101',
        'INSTANCE "V2" BACKUP 102',
        'INSTANCE "V3" BACKUP 103',
    ]
    assert lines(notifier.transition("V1", change(BACKUP, MASTER))) == ['INSTANCE "V1" MASTER 100']


def test_at_a_start_groups_at_fault_come_last() -> None:
    """keepalived 2.2.7 with an interface that is down."""
    notifier = VrrpNotifier(VrrpNotify())
    notifier.begin()
    notifier.transition("V1", change(INIT, FAULT, 101))
    notifier.group_transition(group(INIT, FAULT))
    notifier.transition("V3", change(INIT, FAULT, 103))
    assert lines(notifier.end()) == ['INSTANCE "V1" FAULT 101', 'INSTANCE "V3" FAULT 103', 'GROUP "G" FAULT 0']


def test_at_the_stop_groups_come_behind_all_instances() -> None:
    notifier = VrrpNotifier(VrrpNotify(instances={"V1": ItemNotify(deleted=True)}))
    notifier.begin()
    notifier.transition("V1", change(MASTER, INIT, 101))
    notifier.group_transition(group(MASTER, INIT))
    notifier.transition("V3", change(FAULT, INIT, 103))
    assert lines(notifier.end()) == ['INSTANCE "V1" STOP 101', 'INSTANCE "V3" STOP 103', 'GROUP "G" STOP 0']


def test_an_instance_that_a_reload_takes_away_is_told_as_it_said_itself() -> None:
    gone = ItemNotify({"notify_deleted": Command(("/x/gone",))}, deleted=True)
    notifier = VrrpNotifier(VrrpNotify(instances={"V1": gone, "V2": ANY}))
    notifier.begin(removing=True)
    notifier.transition("V1", change(MASTER, INIT))
    notifier.transition("V2", change(BACKUP, INIT))
    told = notifier.end()
    assert lines(told) == ['INSTANCE "V1" DELETED 100', 'INSTANCE "V2" FAULT 100']
    assert [call.command.arguments for each in told for call in each.scripts] == [("/x/gone",), ("/x/any",)]


def test_states_are_written_again_only_where_that_is_wanted() -> None:
    states = [("G", MASTER), ("H", INIT)], [("V1", MASTER, 101), ("V2", INIT, 102)]
    assert VrrpNotifier(VrrpNotify()).states(*states) == []
    wanted = VrrpNotifier(VrrpNotify(states_on_reload=True))
    assert wanted.states(*states) == ['GROUP "G" MASTER 0', 'INSTANCE "V1" MASTER 101']
