"""reload_time_file: a file says when to reload, so that routers whose configurations do not fit can do it together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Protocol

_LONGEST_LINE = 64
_FORM = re.compile(
    r"(?:(?P<year>\d{4}|\d{2})-(?P<month>\d{2})-(?P<day>\d{2})[ T])?"
    r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})(?P<utc>Z?)"
)
_LOOK_AGAIN = 15.0  # seconds: a clock that is set meanwhile is noticed
_PATIENCE = timedelta(seconds=60)  # a moment that passed while nobody could look is not lost


class ScheduledReload:
    """A moment; `dated` when it is not one of every day. `zone` None is that of the machine."""

    __slots__ = ("at", "dated", "zone")

    def __init__(self, at: datetime, dated: bool, zone: tzinfo | None) -> None:
        self.at = at
        self.dated = dated
        self.zone = zone

    def next_day(self) -> ScheduledReload:
        """The same time of the day by the clock on the wall, whatever summer time does in between."""
        naive = self.at.replace(tzinfo=None) + timedelta(days=1)
        at = naive.astimezone() if self.zone is None else naive.replace(tzinfo=self.zone)
        return ScheduledReload(at, self.dated, self.zone)


def parse(text: str, now: datetime, local: tzinfo | None = None) -> ScheduledReload:
    """`HH:MM:SS`, or a date before it (`YY-MM-DD` or `YYYY-MM-DD`), and `Z` for UTC instead of `local` time. Raises
    ValueError, for moments that have passed too; a time without a date is the next one."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        forms = "HH:MM:SS, YY-MM-DD HH:MM:SS and YYYY-MM-DD HH:MM:SS, with Z for UTC"
        raise ValueError(f"{text.strip()[:_LONGEST_LINE]!r} is none of {forms}")
    parts = {name: int(value) for name, value in match.groupdict().items() if value and name != "utc"}
    zone = UTC if match["utc"] else local
    today = now.astimezone(zone)
    hour, minute, second = parts["hour"], parts["minute"], parts["second"]
    if match["year"]:
        year = parts["year"] + (2000 if parts["year"] < 100 else 0)
        naive = datetime(year, parts["month"], parts["day"], hour, minute, second, tzinfo=zone)
        at = naive if zone is not None else naive.astimezone()
        if at < now - _PATIENCE:
            raise ValueError(f"{at.isoformat(sep=' ')} has passed")
        return ScheduledReload(at, True, zone)
    at = today.replace(hour=hour, minute=minute, second=second, microsecond=0)
    scheduled = ScheduledReload(at, False, zone)
    return scheduled if at >= now else scheduled.next_day()


class Handle(Protocol):
    def cancel(self) -> None: ...


class ReloadTimer:
    """Knows what the file says, and asks for the reload. `later` calls back after seconds. Who sees the file change
    calls `look`; without anybody who does it is looked at now and then."""

    def __init__(
        self,
        reload: Callable[[], None],
        log: Callable[[str, str], None],
        later: Callable[[float, Callable[[], None]], Handle],
        now: Callable[[], datetime] = lambda: datetime.now(UTC).astimezone(),
    ) -> None:
        self._reload = reload
        self._log = log
        self._later = later
        self._now = now
        self._path: Path | None = None
        self._repeat = False
        self._scheduled: ScheduledReload | None = None
        self._handle: Handle | None = None
        self._read: str | None = None

    def configure(self, path: Path | None, *, repeat: bool) -> None:
        """None: no file says anything."""
        if (path, repeat) != (self._path, self._repeat):
            self._path, self._repeat, self._read = path, repeat, None
        self.look()

    def look(self) -> None:
        """The file may have changed, or the time may have come."""
        self.cancel()
        if self._path is None:
            self._scheduled = None
            return
        text = self._text()
        if text != self._read:
            self._read = text
            self._take(text)
        if self._scheduled is not None and self._scheduled.at <= self._now():
            self._due(self._path)
        self._handle = self._later(self._wait(), self.look)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wait(self) -> float:
        if self._scheduled is None:
            return _LOOK_AGAIN
        return max(0.0, min((self._scheduled.at - self._now()).total_seconds(), _LOOK_AGAIN))

    def _text(self) -> str:
        """Empty when there is none."""
        assert self._path is not None
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return ""
        try:
            return os.read(descriptor, _LONGEST_LINE * 4).decode("ascii", "replace").strip()
        except OSError:
            return ""
        finally:
            os.close(descriptor)

    def _take(self, text: str) -> None:
        self._scheduled = None
        if not text:
            return
        try:
            self._scheduled = parse(text, self._now())
        except ValueError as error:
            self._log("error", f"{self._path}: {error}: no reload is scheduled")
            return
        self._log("info", f"a reload is scheduled for {self._scheduled.at.isoformat(sep=' ')}")

    def _due(self, path: Path) -> None:
        """The file goes, so that the next start does not do it again; one of every day stays where that is wanted."""
        assert self._scheduled is not None
        again = self._repeat and not self._scheduled.dated
        self._log("info", f"reload as {path} says")
        if again:
            self._scheduled = self._scheduled.next_day()
        else:
            self._scheduled, self._read = None, ""
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._log("error", f"{path} cannot be removed: {error.strerror or error}")
                self._read = self._text()  # as it is, it has been done
        self._reload()
