"""What an agent that was killed had put on the machine under a configuration that may be another one by now.

While an agent runs, the run directory says what it keeps on the machine; an orderly end removes that. Whoever finds it
at its start takes away what is not its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.on_the_machine import OnTheMachine, of
from kactl_agent.supervisor.children import Child, exit_text, fork_child
from kactl_agent.supervisor.record_file import RecordFile, Unreadable
from kactl_agent.supervisor.run_dir import RunDirectory


class _Machine(msgspec.Struct, frozen=True):
    """One for each configuration that a worker may be running: in the middle of a reload there are two."""

    possible: tuple[OnTheMachine, ...]


class Record:
    """`machine.msgpack`. That it cannot be written is no reason not to run: `log` takes a level and a message."""

    def __init__(self, run_dir: RunDirectory, log: Callable[[str, str], None]) -> None:
        self._file = RecordFile(run_dir, "machine", _Machine)
        self._written: tuple[OnTheMachine, ...] = ()
        self._run_dir = run_dir
        self._log = log

    def read(self) -> tuple[OnTheMachine, ...]:
        """Empty after an orderly end. What cannot be read is passed over, and said."""
        try:
            read = self._file.read()
        except Unreadable as error:
            self._log("warning", f"what the agent before had on the machine cannot be read: {error}")
            return ()
        return () if read is None else read.possible

    def write(self, configurations: Iterable[AgentConfiguration]) -> None:
        """One of these is what each worker runs from now on."""
        possible: list[OnTheMachine] = []
        for each in map(of, configurations):
            if each not in possible:
                possible.append(each)
        if tuple(possible) == self._written:
            return
        self._written = ()
        try:
            self._file.write(_Machine(tuple(possible)))
            self._written = tuple(possible)
        except OSError as error:
            text = "if the agent is killed, the next one cannot know what it had on the machine"
            self._log("warning", f"{text}: {self._run_dir.path}: {error.strerror or error}")

    def remove(self) -> None:
        self._file.remove()
        self._written = ()

    def succeed(self, configuration: AgentConfiguration, in_child: Callable[[], None]) -> None:
        """Take away what the one before has left and this configuration does not have; then it is our turn. `in_child`
        runs first in the short-lived process that does it, and that is waited for."""
        now = of(configuration)
        left = [each for each in self.read() if each != now]
        if left:
            self._log("info", "the agent before was killed: what it had on the machine and is not configured goes")
            try:
                code = Child("reclaim", fork_child("reclaim", lambda: _reclaim(left, now), [], in_child)).reap()
                failure = exit_text(code) if code else ""
            except OSError as error:
                failure = error.strerror or str(error)
            if failure:
                self._log("error", f"what the agent before had made may still be here: {failure}")
        self.write([configuration])


def _reclaim(left: Iterable[OnTheMachine], now: OnTheMachine) -> int:
    from kactl_agent.runtime.vrrp_leftovers import reclaim_predecessor

    return reclaim_predecessor(left, now)
