"""What an agent that was killed had put on the machine under a configuration that may be another one by now.

While an agent runs, the run directory says what it keeps on the machine; an orderly end removes that. Whoever finds it
at its start takes away what is not its own.
"""

from __future__ import annotations

from collections.abc import Callable

from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.on_the_machine import OnTheMachine, of
from kactl_agent.supervisor.children import Child, exit_text, fork_child
from kactl_agent.supervisor.record_file import RecordFile, Unreadable
from kactl_agent.supervisor.run_dir import RunDirectory


class Record:
    """`machine.msgpack`. That it cannot be written is no reason not to run: `log` takes a level and a message."""

    def __init__(self, run_dir: RunDirectory, log: Callable[[str, str], None]) -> None:
        self._file = RecordFile(run_dir, "machine", OnTheMachine)
        self._run_dir = run_dir
        self._log = log

    def read(self) -> OnTheMachine | None:
        """None after an orderly end. What cannot be read is passed over, and said."""
        try:
            return self._file.read()
        except Unreadable as error:
            self._log("warning", f"what the agent before had on the machine cannot be read: {error}")
            return None

    def write(self, configuration: AgentConfiguration) -> None:
        try:
            self._file.write(of(configuration))
        except OSError as error:
            text = "if the agent is killed, the next one cannot know what it had on the machine"
            self._log("warning", f"{text}: {self._run_dir.path}: {error.strerror or error}")

    def remove(self) -> None:
        self._file.remove()

    def succeed(self, configuration: AgentConfiguration, in_child: Callable[[], None]) -> None:
        """Take away what the one before has left and this configuration does not have; then it is our turn. `in_child`
        runs first in the short-lived process that does it, and that is waited for."""
        left = self.read()
        now = of(configuration)
        if left is not None and left != now:
            self._log("info", "the agent before was killed: what it had on the machine and is not configured goes")
            try:
                code = Child("reclaim", fork_child("reclaim", lambda: _reclaim(left, now), [], in_child)).reap()
                failure = exit_text(code) if code else ""
            except OSError as error:
                failure = error.strerror or str(error)
            if failure:
                self._log("error", f"what the agent before had made may still be here: {failure}")
        self.write(configuration)


def _reclaim(left: OnTheMachine, now: OnTheMachine) -> int:
    from kactl_agent.runtime.vrrp_leftovers import reclaim_predecessor

    return reclaim_predecessor(left, now)
