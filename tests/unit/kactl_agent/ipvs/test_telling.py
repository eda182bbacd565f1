"""What is told of servers: to whom, and in keepalived's words."""

from __future__ import annotations

import pytest

from kactl_agent.ipvs.actions import QuorumChanged, ServerChanged, ServerRemoved, SorryServerChanged, WeightChanged
from kactl_agent.ipvs.model import AF_INET
from kactl_agent.ipvs.settings import Members, RealServerSettings, VirtualServerSettings
from kactl_agent.ipvs.telling import notification_of
from kactl_agent.notify.events import Notification
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.actions import Action

UP, DOWN, GAINED, LOST = (Command((f"/bin/{word}",)) for word in ("up", "down", "gained", "lost"))
SETTINGS = VirtualServerSettings(
    name="[192.0.2.1]:tcp:80",
    protocol=6,
    members=(Members(AF_INET, 6, bytes((192, 0, 2, 1)), 1, 80),),
    quorum=2,
    hysteresis=1,
    smtp_alert=True,
    quorum_up=GAINED,
    quorum_down=LOST,
    real_servers=(
        RealServerSettings(bytes((10, 0, 0, 1)), 8080, notify_up=UP, notify_down=DOWN),
        RealServerSettings(bytes((10, 0, 0, 2)), 8080, smtp_alert=False),
    ),
)


def told(action: Action, *, init_notifies: bool = False, stopping: bool = False) -> Notification | None:
    return notification_of(action, SETTINGS, init_notifies=init_notifies, stopping=stopping)


def test_a_server_that_goes_down_has_script_line_and_mail() -> None:
    found = told(ServerChanged(0, False, "TCP_CHECK", "refused"))
    assert found is not None
    assert [call.command for call in found.scripts] == [DOWN]
    assert found.lines == ("RS [10.0.0.1]:tcp:8080 [192.0.2.1]:tcp:80 DOWN",)
    assert found.mail is not None
    assert found.mail.subject == "Realserver [10.0.0.1]:tcp:8080 of virtual server [192.0.2.1]:tcp:80 - DOWN"
    assert found.mail.body == "=> TCP CHECK failed on service <="


def test_smtp_alert_off_is_no_mail() -> None:
    found = told(ServerChanged(1, True, "TCP_CHECK", "connected"))
    assert found is not None
    assert (found.scripts, found.mail) == ((), None)
    assert found.lines == ("RS [10.0.0.2]:tcp:8080 [192.0.2.1]:tcp:80 UP",)


def test_the_start_is_told_with_rs_init_notifies_alone() -> None:
    start = ServerChanged(0, True, "", "", starting=True)
    assert told(start) is None
    found = told(start, init_notifies=True)
    assert found is not None
    assert found.lines == ("RS [10.0.0.1]:tcp:8080 [192.0.2.1]:tcp:80 UP",)


@pytest.mark.parametrize(("stopping", "body"), [(False, "=> Removing <="), (True, "=> Shutting down <=")])
def test_what_is_taken_away_is_down(stopping: bool, body: str) -> None:
    found = told(ServerRemoved(0, "gone"), stopping=stopping)
    assert found is not None
    assert found.lines == ("RS [10.0.0.1]:tcp:8080 [192.0.2.1]:tcp:80 DOWN",)
    assert found.mail is not None
    assert found.mail.body == body


@pytest.mark.parametrize(
    ("up", "weight", "starting", "script", "line", "body"),
    [
        (True, 3, False, GAINED, "VS [192.0.2.1]:tcp:80 UP", "=> Gained quorum 2+1=3 <= 3 <="),
        (False, 0, False, LOST, "VS [192.0.2.1]:tcp:80 DOWN", "=> Lost quorum 2+1=1 <= 0 <="),
        (True, 3, True, GAINED, "VS [192.0.2.1]:tcp:80 UP", "=> Starting with quorum up 2+1=3 <= 3 <="),
    ],
)
def test_the_quorum(up: bool, weight: int, starting: bool, script: Command, line: str, body: str) -> None:
    found = told(QuorumChanged(up, weight, starting))
    assert found is not None
    assert [call.command for call in found.scripts] == [script]
    assert found.lines == (line,)
    assert found.mail is not None
    assert found.mail.body == body


def test_the_rest_is_nobodys_business() -> None:
    assert told(SorryServerChanged(True)) is None
    assert told(WeightChanged(0, 1, 2)) is None
