"""The configuration in its versions: the one in force, the one before, and one that is to become it.

What a version says is kept in memory: whatever happens to the file meanwhile, it can be put back. Files that it
includes are not.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.reload_frames import ConfirmOutcome, PendingConfirmation
from kactl_agent.supervisor.poller import Poller, TimerHandle
from kactl_agent.supervisor.trial_file import TrialFile

_AGAIN_SECONDS = 10.0  # until a rollback that failed is tried again
_SECOND = 1_000_000_000


class Version(NamedTuple):
    """A configuration and the text it was read from; None where that is not known (from a pipe)."""

    configuration: AgentConfiguration
    text: bytes | None


class ReloadOrder(NamedTuple):
    """What is to be in force: the file as it is, another file, or the version before."""

    serial: int = 0  # of the request to answer, 0: nobody's
    file: str = ""
    confirm: int = 0  # ns until it is rolled back unless it is confirmed; 0: it stays
    back: bool = False  # to the version before, whichever that is when it is this order's turn
    revision: str = ""  # going back: from this one alone

    @property
    def is_plain(self) -> bool:
        """Any number of these are as good as one."""
        return not self.file and not self.confirm and not self.back


class ConfigurationFile:
    """All names are next to the file, so that putting one in its place is one step. Everything raises OSError."""

    def __init__(self, path: Path) -> None:
        self._name = path.absolute()
        self.trial = TrialFile(path)
        self._staged: Path | None = None

    @property
    def _path(self) -> Path:
        """A link stays one, and may be switched to another file at any time."""
        return Path(os.path.realpath(self._name))

    @property
    def previous(self) -> Path:
        """Where the version goes that another one replaces."""
        return self._path.with_name(f"{self._path.name}.previous")

    @property
    def rejected(self) -> Path:
        """Where a version goes that was rolled back."""
        return self._path.with_name(f"{self._path.name}.rejected")

    @property
    def is_regular(self) -> bool:
        """A pipe is no place to put a version."""
        try:
            return stat.S_ISREG(self._path.stat().st_mode)
        except OSError:  # not there, a link to itself: whoever reads it says so
            return True

    def stage(self, text: bytes) -> None:
        """Write a version that is to become the file: with its owner and mode, and on the disk."""
        self.discard()
        path = self._path
        staged = self._staged = _beside(path, "new")
        staged.unlink(missing_ok=True)
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(text)
            with contextlib.suppress(FileNotFoundError):
                known = path.stat()
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, known.st_uid, known.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(known.st_mode))
            os.fsync(descriptor)
        except OSError:
            self.discard()
            raise
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """The staged version becomes nothing."""
        staged, self._staged = self._staged, None
        if staged is not None:
            with contextlib.suppress(OSError):
                staged.unlink(missing_ok=True)

    def install(self, keep_as: Path) -> None:
        """The staged version becomes the file, which is kept under another name. There is a file at every moment."""
        assert self._staged is not None
        path = self._path
        if self._staged != _beside(path, "new"):  # the link was switched meanwhile
            self.stage(self._staged.read_bytes())
        keeping = _beside(path, "keep")
        keeping.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.link(path, keeping)
            keeping.replace(keep_as)
        self._staged.replace(path)
        self._staged = None

    @property
    def has_staged(self) -> bool:
        return self._staged is not None

    def says(self, text: bytes) -> bool:
        """Whether the file has this text."""
        try:
            with self._path.open("rb") as file:
                return file.read(len(text) + 1) == text
        except OSError:
            return False

    def go_back(self, text: bytes) -> bool:
        """To a text that was not rejected. False where the file has it already."""
        if self.says(text):
            return False
        self.stage(text)
        self.install(self.rejected)
        return True

    def end_interrupted_trial(self, log: Callable[[str, str], None]) -> None:
        """An agent was killed in the middle of one: nobody has confirmed what the file says, if it still says that."""
        trial = self.trial.read()
        try:
            if (
                trial is not None
                and self.is_regular
                and trial.is_of(self._path.read_bytes())
                and self.go_back(trial.good)
            ):
                text = "the agent before ended while its configuration was on trial: that was rolled back"
                log("warning", f"{text}, its file is {self.rejected} now")
        except OSError as error:
            log("error", f"the configuration was on trial, and its file stays: {error.strerror or error}")
        else:
            self.trial.end()


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.kactl-{what}")


class Host(Protocol):
    """What versions need of the supervisor."""

    def log(self, level: str, message: str) -> None: ...

    @property
    def going_back(self) -> bool:
        """Whether the version before is on its way."""

    def request_reload(self, order: ReloadOrder) -> None: ...

    def tell_pending(self, pending: PendingConfirmation) -> None: ...


class Versions:
    """Knows which configuration is in force until when, and which comes back then."""

    def __init__(self, host: Host, poller: Poller, file: ConfigurationFile, current: Version) -> None:
        self._host = host
        self._poller = poller
        self._file = file
        self._current = current
        self._previous: Version | None = None
        self._rejected = ""  # revision that the one in force was gone back from
        self._timer: TimerHandle | None = None
        self._unmarked = ""  # why a trial is not known on the disk
        self.pending = PendingConfirmation()

    # -- around a reload (`kactl_agent.supervisor.reload`) -------------------------------------------------------------

    def objection(self, order: ReloadOrder) -> str:
        """Why this cannot be done now; empty when it can."""
        if order.back:
            return "" if self._previous is not None else f"there is nothing to go back to: {self._nothing_before()}"
        if self.pending.revision:
            text = f"configuration {self.pending.revision} waits to be confirmed"
            return f"{text}: `kactl confirm` keeps it, `kactl rollback` goes back to {self.pending.previous}"
        if order.file or self._file.is_regular:
            return ""
        return "the configuration is a pipe, which has been read: `kactl reload FILE` takes another one"

    def _nothing_before(self) -> str:
        if not self._rejected:
            return "no configuration was replaced since the agent started"
        text = f"configuration {self._rejected} was rolled back already"
        return f"{text}; its file is {self._file.rejected}" if self._file.rejected.exists() else text

    def needless(self, order: ReloadOrder) -> str:
        """Why nothing has to be done for this, which is as good as done; empty when something has to."""
        if not order.back or not order.revision:
            return ""
        if order.revision != self.revision:
            return f"configuration {order.revision} is not in force: {self.revision} is, and stays"
        if self._previous is None and order.revision == self._rejected:  # another text of the same meaning
            return f"configuration {order.revision} was rolled back already"
        return ""

    @property
    def revision(self) -> str:
        """The one in force."""
        return self._current.configuration.revision

    @property
    def before(self) -> AgentConfiguration:
        """What an order to go back goes to, when there is no objection to it."""
        assert self._previous is not None
        return self._previous.configuration

    def accept(self, order: ReloadOrder, text: bytes | None) -> str:
        """The configuration is valid. What is to become the file is written now, while nothing has happened yet; why
        that fails, or an empty string."""
        if order.back and self._previous is not None:
            text = self._previous.text
        self._unmarked = self._mark(order, text)
        wanted = bool(order.file) or order.back
        if not wanted or text is None or not self._file.is_regular or self._file.says(text):
            return ""
        try:
            self._file.stage(text)
        except OSError as error:
            return f"the configuration file cannot be replaced: {error.strerror or error}"
        return ""

    def _mark(self, order: ReloadOrder, text: bytes | None) -> str:
        """What is to be on trial is so on the disk before a worker sees it. Why it is not, or an empty string."""
        good = self._current.text
        if not order.confirm or text is None or good is None or not self._file.is_regular:
            return ""
        try:
            self._file.trial.begin(text, good)
        except OSError as error:
            return f"if the agent is killed before, its file stays: {error.strerror or error}"
        return ""

    def concluded(self, order: ReloadOrder, new: AgentConfiguration, text: bytes | None) -> list[str]:
        """It is in force. What there is to say about files and confirmation."""
        said = []
        if order.back and self._previous is not None:
            text = self._previous.text
        self._end_waiting()
        try:
            said += self._install(order.back, text)
        except OSError as error:
            self._file.discard()
            said.append(f"the configuration file stays as it is: {error.strerror or error}")
        before, self._current = self._current, Version(new, text)
        replaced = before.configuration != new or before.text != text
        if order.back:  # not one that was gone back from is what to go back to
            self._previous, self._rejected = None, before.configuration.revision
        elif replaced:
            self._previous, self._rejected = before, ""
        if order.confirm and replaced:
            self._wait(order.confirm, before.configuration.revision)
            said.append(f"unless it is confirmed within {order.confirm / _SECOND:g} s it is rolled back")
            said += [self._unmarked] if self._unmarked else []
            return said
        self._file.trial.end()
        if order.confirm:
            said.append("it is what was in force already: nothing has to be confirmed")
        return said

    def _install(self, rolled_back: bool, text: bytes | None) -> list[str]:
        if text is None or not self._file.is_regular or self._file.says(text):
            self._file.discard()
            return []
        if not self._file.has_staged:
            return []  # the file itself was read, or had this text when that could still be written
        keep_as = self._file.rejected if rolled_back else self._file.previous
        self._file.install(keep_as)
        return [f"the file before is {keep_as}"]

    def abandoned(self, order: ReloadOrder) -> None:
        """Nothing has come of it."""
        self._file.discard()
        if not self.pending.revision:
            self._file.trial.end()
        if order.back and not order.serial and self.pending.revision:
            self._timer = self._poller.call_later(_AGAIN_SECONDS, self._expired)

    # -- confirmation --------------------------------------------------------------------------------------------------

    def confirm(self, serial: int, revision: str = "") -> ConfirmOutcome:
        """What is in force stays, when it is that revision (empty: whichever it is)."""
        if self._host.going_back:
            return ConfirmOutcome(serial, f"configuration {self.revision} is being rolled back")
        if revision and revision == self._rejected:
            return ConfirmOutcome(serial, f"configuration {revision} was rolled back")
        if revision not in ("", self.revision):
            state = "waits to be confirmed" if self.pending.revision else "is in force"
            return ConfirmOutcome(serial, f"configuration {revision} is not in force: {self.revision} {state}")
        if self.pending.revision:
            self._host.log("info", f"configuration {self.revision} is confirmed")
            self._end_waiting()
            self._file.trial.end()
            return ConfirmOutcome(serial, "", self.revision)
        if revision:
            return ConfirmOutcome(serial, "", revision, already=True)
        return ConfirmOutcome(serial, "nothing waits to be confirmed")

    def stop(self) -> None:
        """The agent ends. What was not confirmed is not what it starts with the next time."""
        if not self.pending.revision or self._previous is None or self._previous.text is None:
            return
        self._end_waiting()
        try:
            if self._file.go_back(self._previous.text):
                self._host.log("warning", f"the configuration was not confirmed: its file is {self._file.rejected} now")
        except OSError as error:
            self._host.log("error", f"the configuration file stays as it is, unconfirmed: {error.strerror or error}")
        else:
            self._file.trial.end()

    def _wait(self, nanoseconds: int, previous: str) -> None:
        self.pending = PendingConfirmation(self.revision, previous, time.time_ns() + nanoseconds)
        self._timer = self._poller.call_later(nanoseconds / _SECOND, self._expired)
        self._host.tell_pending(self.pending)

    def _expired(self) -> None:
        self._host.log("warning", f"configuration {self.pending.revision} was not confirmed in time: it is rolled back")
        self._host.request_reload(ReloadOrder(back=True, revision=self.pending.revision))

    def _end_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.pending.revision:
            self.pending = PendingConfirmation()
            self._host.tell_pending(self.pending)
