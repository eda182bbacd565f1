"""FILE_CHECK and BFD_CHECK: they run nothing, they follow what a file holds and what a BFD session says."""

from __future__ import annotations

from kactl_agent.checkers.actions import CheckVerdict, WeightChanged
from kactl_agent.checkers.settings import BfdCheckSettings, FileCheckSettings, keyword_of
from kactl_agent.checkers.snapshot import CheckerSnapshot
from kactl_agent.tracking.actions import FileContent, SessionState
from kactl_agent.tracking.file import file_verdict
from kactl_agent.vrrp.actions import Action, Input, Shutdown, Startup

_HIGHEST = 2**31 - 1


class _Follower:
    """A checker without deadlines of its own."""

    def __init__(self, keyword: str, up: bool) -> None:
        self._keyword = keyword
        self._up = up
        self._since: int | None = None
        self._detail = ""
        self._heard: int | None = None
        self._changes = 0
        self._difference = 0

    @property
    def up(self) -> bool:
        return self._up

    def handle_timer(self, now: int) -> list[Action]:
        del now
        return []

    def deadline(self) -> int | None:
        return None

    def snapshot(self) -> CheckerSnapshot:
        return CheckerSnapshot(
            checker=self._keyword,
            up=self._up,
            has_run=self._heard is not None,
            since=self._since,
            last_result=self._detail,
            last_success=None if self._heard is None else self._up,
            last_run=self._heard,
            last_duration=0,
            failures=int(self._heard is not None and not self._up),
            runs=self._changes,
            failed_runs=0,
            difference=self._difference,
        )

    def _decide(self, up: bool, detail: str, now: int) -> list[Action]:
        if self._since is None or up is not self._up:
            self._since = now
        self._heard, self._detail = now, detail
        self._changes += 1
        if up is self._up:
            return []
        self._up = up
        return [CheckVerdict(up, detail, int(not up))]


class FileChecker(_Follower):
    """The value in the file times the weight is added to the weight of the real server; with weight 0 any value but 0
    takes it down. A file that is missing or holds no number counts as 0, as track_file has it."""

    def __init__(self, settings: FileCheckSettings) -> None:
        super().__init__(keyword_of(settings), up=True)
        self._settings = settings

    def handle_event(self, event: Input, now: int) -> list[Action]:
        """Startup, Shutdown and FileContent. Raises TypeError for others."""
        match event:
            case Startup() | Shutdown():
                return []
            case FileContent():
                return self._content(event, now)
        raise TypeError(f"{type(event).__name__} is no input of FILE_CHECK")

    def _content(self, event: FileContent, now: int) -> list[Action]:
        verdict = file_verdict(self._settings.file.path, event)
        value = -verdict.value if self._settings.reverse else verdict.value
        weight = self._settings.weight
        difference = max(-_HIGHEST, min(_HIGHEST, value * weight))
        actions: list[Action] = []
        if difference != self._difference:
            self._difference = difference
            actions.append(WeightChanged(difference=difference))
        return [*actions, *self._decide(weight != 0 or value == 0, verdict.detail, now)]


class BfdChecker(_Follower):
    """Up while the session is. Until something is heard of it the checker is up, with alpha down."""

    def __init__(self, settings: BfdCheckSettings) -> None:
        super().__init__(keyword_of(settings), up=not settings.timing.alpha)
        self._name = settings.name

    def handle_event(self, event: Input, now: int) -> list[Action]:
        """Startup, Shutdown and SessionState. Raises TypeError for others."""
        match event:
            case Startup() | Shutdown():
                return []
            case SessionState():
                return self._decide(event.up, f"BFD session {self._name} is {'up' if event.up else 'down'}", now)
        raise TypeError(f"{type(event).__name__} is no input of BFD_CHECK")
