"""What keepalived and kactl tell others in the same scene: scripts (arguments, user, group, environment), FIFO lines,
mails. Recorded from both, and equal."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.netns import ip, require_namespaces, wait_for
from support.notify_scene import Daemon, Kactl, Keepalived, Scene, scene

pytestmark = [
    pytest.mark.root,
    pytest.mark.keepalived,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
ALL = ("notify_master", "notify_backup", "notify_fault", "notify_stop", "notify")


class Stage:
    """The same scene for both daemons, side by side."""

    def __init__(
        self, scenes: dict[str, Scene], text: Callable[[Scene], str], at_end: Callable[[Callable[[], None]], object]
    ) -> None:
        self.scenes = scenes
        self.daemons: dict[str, Daemon] = {}
        kinds: tuple[type[Keepalived] | type[Kactl], ...] = (Keepalived, Kactl)
        for kind in kinds:
            place = scenes[kind.name]
            daemon = self.daemons[kind.name] = kind(place, text(place))
            at_end(daemon.close)
        for each in scenes.values():
            each.read_fifo()

    def both(self, act: Callable[[Scene], Any]) -> None:
        for each in self.scenes.values():
            act(each)

    def wait(self, line: str, count: int = 1) -> None:
        for name, each in self.scenes.items():
            try:
                each.wait_line(line, 30, count)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}\n{self.daemons[name].log}") from None

    def reload(self, text: Callable[[Scene], str]) -> None:
        for name, daemon in self.daemons.items():
            daemon.reload(text(self.scenes[name]))

    def stop(self) -> None:
        for daemon in self.daemons.values():
            daemon.stop()

    def wait_calls(self, count: int) -> None:
        """A script takes its time to say that it was called, and at a stop it is killed: that both daemons' have said
        so as often may be while some of both have not yet."""
        self.both(lambda place: place.wait_calls(count, 30))

    def seen(self, what: Callable[[Scene], Any]) -> tuple[Any, Any]:
        """By keepalived's audience, and by ours."""
        theirs, ours = (what(each) for each in self.scenes.values())
        return theirs, ours


@pytest.fixture
def stage() -> Iterator[Callable[[Callable[[Scene], str]], Stage]]:
    require_namespaces()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        scenes = {name: stack.enter_context(scene(folder / name)) for name in ("keepalived", "kactl")}

        def set_up(text: Callable[[Scene], str]) -> Stage:
            return Stage(scenes, text, stack.callback)

        yield set_up


def instance(place: Scene, number: int, priority: int, *more: str, words: tuple[str, ...] = ALL) -> str:
    commands = "\n  ".join(f'{word} "{place.recorder} V{number} {word}"' for word in words)
    return f"""
vrrp_instance V{number} {{
  interface eth0
  version 3
  virtual_router_id {50 + number}
  priority {priority}
  advert_int 1
  virtual_ipaddress {{ 198.51.100.{100 + number}/24 }}
  {commands}
  {"".join(f"{line}{chr(10)}  " for line in more)}
}}"""


def group(place: Scene) -> str:
    commands = "\n  ".join(f'{word} "{place.recorder} G {word}"' for word in ALL)
    return f"vrrp_sync_group G {{\n  group {{\n    V1\n    V2\n  }}\n  {commands}\n}}\n"


def head(place: Scene, *more: str) -> str:
    return f"""
global_defs {{
  router_id RID
  script_user root
  vrrp_notify_fifo {place.fifo}
  vrrp_garp_master_delay 0
  {"".join(f"{line}{chr(10)}  " for line in more)}
}}
track_file fault {{
  file {place.directory}/fault
  weight 0
}}
track_file weight {{
  file {place.directory}/weight
  weight 1
}}
"""


def mailed(place: Scene, *more: str) -> str:
    return head(
        place,
        "notification_email { a@example.org b@example.org }",
        "notification_email_from from@example.org",
        f"smtp_server 127.0.0.1 {place.sink.port}",
        "smtp_helo_name helo.example.org",
        "smtp_alert",
        *more,
    )


def whole_life(place: Scene) -> str:
    record = place.recorder
    return "".join(
        (
            mailed(
                place,
                "vrrp_notify_priority_changes true",
                f'startup_script "{record} startup"',
                f'vrrp_notify_fifo_script "{record} reader"',
                f'shutdown_script "{record} shutdown"',
            ),
            group(place),
            instance(place, 1, 150, "track_file { fault weight 0 }"),
            instance(place, 2, 100),
            instance(
                place, 3, 200,
                "track_file { weight }",
                f'notify_deleted "{record} V3 deleted"',
                f'notify_master_rx_lower_pri "{record} V3 lower \'two words\'" daemon daemon',
            ),
            instance(
                place, 4, 50,
                f'notify "{record} V4 \'b  c\' \\"d\\"" nobody',
                f'notify_fault "{record} V4 fault"',
                f'notify_backup "{record} V4 backup" nobody daemon',
                words=(),
            ),
        )
    )  # fmt: skip


def shown(call: dict[str, Any], place: Scene) -> str:
    """All of a call that must be equal; paths of the scene are not."""
    environment = {name: value for name, value in call["environment"].items() if name not in {"IFS", "_"}}
    return str({**call, "environment": environment}).replace(str(place.directory), "SCENE")


def last(call: dict[str, Any]) -> bool:
    """Whether it is one of those that have a second."""
    return not {"STOP", "notify_stop"}.isdisjoint(call["arguments"])


def stops(place: Scene) -> set[str]:
    return {shown(call, place) for call in place.calls if last(call)}


def messages(place: Scene) -> Counter[tuple[tuple[str, ...], str]]:
    found: Counter[tuple[tuple[str, ...], str]] = Counter()
    for mail in place.sink.mails:
        text, dates = re.subn(
            r"^Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [-+][0-9]{4}\r\n",
            "",
            mail.message.decode(),
        )
        assert dates == 1, mail.message
        found[tuple(mail.commands), text] += 1
    return found


def test_a_whole_life(stage: Callable[[Callable[[Scene], str]], Stage]) -> None:
    both = stage(whole_life)
    both.wait('GROUP "G" MASTER 0')
    both.wait('INSTANCE "V4" MASTER 50')
    both.both(lambda place: place.track("weight", 5))
    both.wait('INSTANCE "V3" MASTER_PRIORITY 205')
    both.both(lambda place: place.track("fault", 1))
    both.wait('GROUP "G" FAULT 0')
    both.both(lambda place: place.track("fault", 0))
    both.wait('GROUP "G" MASTER 0', 2)
    both.both(lambda place: place.hear(60, 53, "198.51.100.103"))
    both.wait('INSTANCE "V3" MASTER_RX_LOWER_PRI 205')
    both.both(lambda place: place.hear(200, 52, "198.51.100.102"))
    both.wait('GROUP "G" MASTER 0', 3)
    both.both(lambda place: place.sink.wait(25))
    both.reload(
        lambda place: (
            mailed(
                place,
                f'shutdown_script "{place.recorder} shutdown"',
                f'vrrp_notify_fifo_script "{place.recorder} reader"',
            )
            + group(place)
            + instance(place, 1, 150, "track_file { fault weight 0 }")
            + instance(place, 2, 100)
        )
    )
    both.wait('INSTANCE "V4" FAULT 50')
    both.both(lambda place: place.sink.wait(27))  # what is on its way at the stop need not arrive
    both.wait_calls(56)
    both.stop()
    both.wait('GROUP "G" STOP 0')
    both.both(lambda place: wait_for(lambda: ("shutdown",) in place.arguments, 10, "the shutdown script"))
    wait_for(lambda: len(set().union(*both.seen(stops))) == 6, 10, "the scripts that are called at the stop")

    assert both.seen(lambda place: place.lines)[1] == both.seen(lambda place: place.lines)[0]
    theirs, ours = both.seen(lambda place: Counter(shown(call, place) for call in place.calls if not last(call)))
    assert (ours - theirs, theirs - ours) == (Counter(), Counter())
    theirs, ours = both.seen(stops)
    assert len(theirs | ours) == 6  # of V1, V2 and G; a loaded machine may kill some before they have said anything
    theirs, ours = both.seen(messages)
    of_stop = Counter({key: count for key, count in ours.items() if " - Stopping" in key[1]})
    assert ours - of_stop == theirs
    assert sum(of_stop.values()) == 3  # keepalived 2.2.7 ends before it sends them
    ordered(both.scenes["kactl"])


def ordered(place: Scene) -> None:
    """What keepalived does not promise: the scripts of each item in the order of its events."""
    for name, kind in (("V1", "INSTANCE"), ("V2", "INSTANCE"), ("G", "GROUP")):
        mine = [call["arguments"] for call in place.calls if call["arguments"][0] == name and not last(call)]
        told = [line.split()[2] for line in place.lines if line.startswith(f'{kind} "{name}" ')][:-1]
        expected = [word for state in told for word in (f"notify_{state.lower()}", "notify")]
        assert [words[1] for words in mine] == expected
        assert [words[4] for words in mine if len(words) > 2] == told


def test_a_start_in_fault(stage: Callable[[Callable[[Scene], str]], Stage]) -> None:
    def text(place: Scene) -> str:
        ip("link", "set", "eth0", "down", namespace=place.node.namespace)
        return (
            head(place)
            + group(place)
            + "".join((instance(place, 1, 200), instance(place, 2, 150), instance(place, 3, 100)))
        )

    both = stage(text)
    both.wait('GROUP "G" FAULT 0')
    both.wait('INSTANCE "V3" FAULT 100')
    both.both(lambda place: ip("link", "set", "eth0", "up", namespace=place.node.namespace))
    both.wait('GROUP "G" MASTER 0')
    both.wait('INSTANCE "V3" MASTER 100')
    theirs, ours = both.seen(lambda place: place.lines)
    assert Counter(ours) == Counter(theirs)
    assert ours[:4] == theirs[:4]  # the order of members that recover is the interface's business, not ours
    both.wait_calls(24)
    both.stop()
    both.wait('GROUP "G" STOP 0')
    theirs, ours = both.seen(lambda place: Counter(str(call["arguments"]) for call in place.calls if not last(call)))
    assert ours == theirs


def test_states_are_written_again_after_a_reload(stage: Callable[[Callable[[Scene], str]], Stage]) -> None:
    def text(place: Scene) -> str:
        instances = "".join((instance(place, 1, 200), instance(place, 2, 150), instance(place, 3, 100)))
        return head(place, "fifo_write_vrrp_states_on_reload") + group(place) + instances

    both = stage(text)
    both.wait('GROUP "G" MASTER 0')
    both.wait('INSTANCE "V3" MASTER 100')
    both.reload(text)
    both.wait('GROUP "G" MASTER 0', 2)
    both.scenes["kactl"].wait_line('INSTANCE "V3" MASTER 100', 10, 2)
    theirs, ours = both.seen(lambda place: place.lines)
    # 2.2.7 forgets the instances, which 2.4 says it writes
    assert ours[: len(theirs)] == theirs
    assert ours[len(theirs) :] == [f'INSTANCE "V{n}" MASTER {p}' for n, p in ((1, 200), (2, 150), (3, 100))]
    both.wait_calls(16)
    theirs, ours = both.seen(lambda place: Counter(str(call["arguments"]) for call in place.calls))
    assert ours == theirs
