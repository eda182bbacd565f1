"""What an agent that was killed had put on the machine under a configuration that may be another one by now.

While an agent runs, the run directory says what it keeps on the machine; an orderly end removes that. Whoever finds it
at its start takes away what is not its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import msgspec

from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.on_the_machine import OnTheMachine, of
from kactl_agent.supervisor.children import Child, exit_text, fork_child
from kactl_agent.supervisor.run_dir import RunDirectory

FILE = "machine.msgpack"
_NEW = "machine.new"
_LARGEST = 64 << 20
_decoder = msgspec.msgpack.Decoder(OnTheMachine)


class Record:
    """The file. That it cannot be written is no reason not to run: `log` takes a level and a message."""

    def __init__(self, run_dir: RunDirectory, log: Callable[[str, str], None]) -> None:
        self._run_dir = run_dir
        self._log = log

    def read(self) -> OnTheMachine | None:
        """None after an orderly end. What cannot be read is passed over, and said."""
        try:
            descriptor = os.open(self._run_dir.path / FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_uid not in (0, os.geteuid()):
                return None
            try:
                return _decoder.decode(file.read(_LARGEST))
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
                self._log("warning", f"what the agent before had on the machine cannot be read: {error}")
                return None

    def write(self, configuration: AgentConfiguration) -> None:
        try:
            descriptor = self._run_dir.create(_NEW)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.msgpack.encode(of(configuration)))
            self._run_dir.replace(_NEW, FILE)
        except OSError as error:
            text = "if the agent is killed, the next one cannot know what it had on the machine"
            self._log("warning", f"{text}: {self._run_dir.path}: {error.strerror or error}")

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            (self._run_dir.path / FILE).unlink(missing_ok=True)

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
