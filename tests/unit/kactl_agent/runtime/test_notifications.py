"""What a worker tells others, with this test as supervisor, observer and spawner. The loop's time is real."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from kactl_agent.notify.events import Mail, Notification, ScriptCall
from kactl_agent.notify.settings import ItemNotify, VrrpNotify
from kactl_agent.runtime import frames
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.runtime.notifications import Teller
from kactl_agent.runtime.notify_frames import MailDone, MailOrder, NotifyFifos
from kactl_agent.runtime.scripts import RunListener
from kactl_agent.runtime.vrrp_notifications import VrrpNotifications
from kactl_agent.runtime.worker_shell import Applied, WorkerShell
from kactl_agent.tracking.settings import Command, Executable
from kactl_agent.vrrp.actions import GroupTransition, LowerPriorityReceived, State, Transition
from kactl_agent.vrrp.settings import SECOND

ANY, MASTER, MISSING = Command(("/x/any",)), Command(("/x/master", "a")), Command(("/x/missing",))
READY = ((ANY, Executable(("/x/any",), 7, 8)), (MASTER, Executable(("/x/master", "a"), 0, 0, shell=True)))


class Runner:
    """A spawner whose scripts end when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Executable] = []
        self.signals: list[tuple[int, int]] = []
        self.listeners: dict[int, RunListener] = {}

    def run(self, executable: Executable, listener: RunListener) -> int:
        if executable.arguments[0] == "/x/long":
            raise ValueError("the command line is too long")
        self.asked.append(executable)
        self.listeners[len(self.asked)] = listener
        return len(self.asked)

    def signal(self, run: int, number: int) -> None:
        self.signals.append((run, number))

    @property
    def lines(self) -> list[tuple[str, ...]]:
        return [executable.arguments for executable in self.asked]


class Bench:
    """A worker that only tells."""

    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.supervisor, supervised = (Edge(sock) for sock in socket_pair())
        self.observer, observed = (Edge(sock) for sock in socket_pair())
        self.runner = Runner()
        self.shell = WorkerShell("vrrp", self.loop, supervised, observed, self)
        self.teller = Teller(self.loop, self.shell, self.runner)
        self.heard: list[frames.AnyFrame] = []

    def prepare(self, new: AgentConfiguration) -> str:
        return f"{new.revision} is not for this worker"

    def apply(self, new: AgentConfiguration, done: Applied) -> None:
        raise NotImplementedError

    def stop(self, order: frames.Stop | None = None) -> None: ...

    def connect_spawner(self, sock: socket.socket) -> None:
        sock.close()

    def peer_joined(self, name: str) -> None: ...

    def peer_said(self, name: str, frame: frames.AnyFrame) -> None: ...

    def peer_lost(self, name: str) -> None: ...

    def observed(self) -> None:
        self.teller.observed()

    def turn(self, seconds: float = 0.0) -> None:
        self.supervisor.try_flush()
        self.observer.try_flush()
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.heard += [frame for frame, _ in self.observer.receive()]

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            self.turn(0.002)

    def mails(self) -> list[MailOrder]:
        self.turn()
        return [frame for frame in self.heard if isinstance(frame, MailOrder)]

    def log(self) -> list[str]:
        self.turn()
        return [f"{f.level}: {f.message}" for f in self.heard if isinstance(f, frames.LogRecord)]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.teller.configure(READY, ())
    yield made
    made.shell.close()
    made.supervisor.close()
    made.observer.close()
    made.teller.configure((), ())
    made.loop.close()


def event(*commands: Command, queue: str = "vrrp_instance V1", mail: Mail | None = None) -> Notification:
    calls = tuple(ScriptCall(command, ("INSTANCE", "V1", "MASTER", "100")) for command in commands)
    return Notification(queue, calls, ("line",), mail)


def test_scripts_are_run_with_what_they_are_told(bench: Bench) -> None:
    bench.teller.tell(event(MASTER, MISSING, ANY))
    bench.runner.listeners[1].ended(0)
    assert bench.runner.asked == [
        Executable(("/x/master", "a", "INSTANCE", "V1", "MASTER", "100"), 0, 0, shell=True),
        Executable(("/x/any", "INSTANCE", "V1", "MASTER", "100"), 7, 8),
    ]
    assert bench.runner.asked[0].command_line == ("/bin/sh", "-c", "/x/master a INSTANCE V1 MASTER 100")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda script: script.ended(3), "warning: notify script /x/any exited with status 3"),
        (lambda script: script.ended(-9), "warning: notify script /x/any was killed by signal 9"),
        (lambda script: script.not_started("no file"), "error: notify script /x/any could not be started: no file"),
        (lambda script: script.lost(), "error: notify script /x/any ended with the spawner"),
    ],
)
def test_however_a_script_ends_the_next_one_follows(
    bench: Bench, end: Callable[[RunListener], None], said: str
) -> None:
    bench.teller.tell(event(ANY, ANY))
    end(bench.runner.listeners[1])
    assert len(bench.runner.asked) == 2
    assert said in bench.log()


def test_a_command_line_that_no_process_can_have_is_said(bench: Bench) -> None:
    bench.teller.configure(((ANY, Executable(("/x/long",), 0, 0)), *READY[1:]), ())
    bench.teller.tell(event(ANY, MASTER))
    bench.until(lambda: bench.runner.asked)
    assert "error: notify script /x/long could not be started: the command line is too long" in bench.log()


def test_what_is_queued_is_run_after_a_reload_that_takes_it_away(bench: Bench) -> None:
    bench.teller.tell(event(ANY, MASTER))
    bench.teller.configure((), ())
    bench.runner.listeners[1].ended(0)
    assert [line[0] for line in bench.runner.lines] == ["/x/any", "/x/master"]


def test_lines_go_to_the_descriptor_that_the_supervisor_sends(bench: Bench) -> None:
    bench.teller.configure(READY, ("notify_fifo",))
    bench.teller.tell(event())
    read, write = os.pipe()
    bench.supervisor.post(NotifyFifos(("notify_fifo",)), [write])
    bench.turn()
    bench.turn()
    assert os.read(read, 100) == b"line\n"
    os.close(read)


def test_a_mail_is_asked_for_until_it_is_done(bench: Bench) -> None:
    bench.teller.tell(event(mail=Mail("one", "body")))
    bench.teller.tell(event(mail=Mail("two", "body")))
    assert [(mail.worker, mail.subject, mail.body) for mail in bench.mails()] == [
        ("vrrp", "one", "body"),
        ("vrrp", "two", "body"),
    ]
    bench.observer.post(MailDone(bench.mails()[0].number))
    bench.turn()
    bench.turn()
    bench.observer.close()
    bench.observer, theirs = (Edge(sock) for sock in socket_pair())
    descriptor = os.dup(theirs.fileno())
    theirs.close()
    bench.heard.clear()
    bench.supervisor.post(frames.ObserverEdge("observer"), [descriptor])
    bench.turn()
    bench.until(bench.mails)
    assert [mail.subject for mail in bench.mails()] == ["two"]


def test_without_anybody_to_send_them_the_newest_mails_are_kept(bench: Bench) -> None:
    for number in range(2003):
        bench.teller.tell(event(mail=Mail(f"mail {number}", "")))
    bench.turn()
    bench.observer.close()
    bench.observer, theirs = (Edge(sock) for sock in socket_pair())
    descriptor = os.dup(theirs.fileno())
    theirs.close()
    bench.heard.clear()
    bench.supervisor.post(frames.ObserverEdge("observer"), [descriptor])
    bench.until(lambda: len(bench.mails()) == 2000)
    assert [mail.subject for mail in bench.mails()][0::1999] == ["mail 3", "mail 2002"]


def stopped(bench: Bench, patience: int = 5 * SECOND) -> float:
    """Seconds that the end takes."""
    begun = time.monotonic()
    bench.teller.finish(patience)
    bench.loop.run_forever()
    return time.monotonic() - begun


def test_the_end_waits_for_the_last_scripts(bench: Bench) -> None:
    bench.teller.tell(event(ANY))
    ended: list[int] = []
    bench.loop.call_later(0.2, lambda: (ended.append(1), bench.runner.listeners[1].ended(0)))
    assert 0.2 <= stopped(bench) < 0.9
    assert ended
    assert bench.runner.signals == []


def test_the_end_waits_a_second_for_a_script_then_it_is_terminated(bench: Bench) -> None:
    bench.teller.tell(event(ANY, MASTER))

    def kill() -> None:
        if bench.runner.signals:
            bench.runner.listeners[1].ended(-signal.SIGTERM)
            bench.loop.call_later(0.05, lambda: bench.runner.listeners[2].ended(0))
        else:
            bench.loop.call_later(0.01, kill)

    kill()
    assert 0.9 <= stopped(bench) < 2.5
    assert bench.runner.signals == [(1, signal.SIGTERM)]
    assert [line[0] for line in bench.runner.lines] == ["/x/any", "/x/master"]


def test_the_end_comes_even_if_no_script_ends(bench: Bench) -> None:
    bench.teller.tell(event(*[ANY] * 5))
    assert stopped(bench) < 4.9
    assert len(bench.runner.asked) == 5


def test_with_less_time_everything_is_started_earlier(bench: Bench) -> None:
    bench.teller.tell(event(*[ANY] * 5))
    assert stopped(bench, SECOND) < 0.9
    assert len(bench.runner.asked) == 5


def test_without_anything_to_wait_for_the_end_is_at_once(bench: Bench) -> None:
    assert stopped(bench) < 0.2


def test_what_the_vrrp_worker_tells(bench: Bench) -> None:
    instances = {"V1": ItemNotify({"notify": ANY}, deleted=True), "V2": ItemNotify({"notify": ANY})}
    told = VrrpNotifications(bench.teller, VrrpNotify(instances=instances, executables=READY, fifos=("notify_fifo",)))
    read, write = os.pipe()
    bench.supervisor.post(NotifyFifos(("notify_fifo",)), [write])
    bench.turn()
    with told.together():
        told.transition("V1", Transition(State.INIT, State.BACKUP, "", "", 101, b""))
        told.group_transition(GroupTransition("G", State.INIT, State.BACKUP, "", ""))
    told.lower_priority("V1", LowerPriorityReceived(b"", 3), 101)
    told.priority_changed("V1", State.BACKUP, 90)
    with told.removing():
        told.transition("V1", Transition(State.BACKUP, State.INIT, "", "", 90, b""))
    told.reconfigure(VrrpNotify(states_on_reload=True, fifos=("notify_fifo",)))
    told.write_states([("G", State.MASTER)], [("V3", State.MASTER, 3)])
    assert os.read(read, 1000).decode().splitlines() == [
        'GROUP "G" BACKUP 0',
        'INSTANCE "V1" BACKUP 101',
        'INSTANCE "V1" MASTER_RX_LOWER_PRI 101',
        'INSTANCE "V1" BACKUP_PRIORITY 90',
        'INSTANCE "V1" DELETED 90',
        'GROUP "G" MASTER 0',
        'INSTANCE "V3" MASTER 3',
    ]
    os.close(read)
    bench.runner.listeners[1].ended(0)
    assert [line[3:] for line in bench.runner.lines] == [("BACKUP", "101"), ("DELETED", "90")]
