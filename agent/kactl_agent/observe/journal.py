"""What happened and why, in order: transitions, reloads, restarted processes, drains. Bounded, in memory and on disk.

Every entry is an event: `cursor`, `time` and `type`, and what its type says. A cursor is an opaque text that says how
far a reader has come; with files it survives the observer and the agent.

Whatever happens to an object of the configuration is told in one shape, so that `kactl why` can follow the chain from
one to the next: a worker posts a `kactl_agent.runtime.journal_frames.Happening`, which becomes an event of

    type      what happened, one word of the field: "real_server", "bfd_session", "stall", "drain", ...
    subject   what it happened to, as the configuration calls it: "vrrp_instance VI_1", "bfd_instance b1",
              "real_server 10.0.0.1:80 of 192.0.2.10:80/TCP"
    old, new  states, where it is a change of state
    cause     a stable code ("check_failed"), and
    detail    one sentence for an operator ("TCP_CHECK: connection refused (3 of 3)")
    because   subjects whose events shortly before may be the reason: ["bfd_instance b1"]
    facts     the inputs at that moment, few and small: {"failures": 3, "last_ok_ms_ago": 8012}

Transitions of VRRP instances and sync groups have their own types, older than this shape; `subject_of` names theirs.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from kactl_agent.observe.journal_files import JournalFiles, Kept, parse_cursor
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.runtime.journal_frames import Happening

_PAGE = 1 << 20  # bytes

Event = dict[str, Any]


class Journal:
    """The newest `limit` events. `follow` registers a listener for new ones. `complain` is told, once, when events
    cannot be written to the files, and, with "", when they can again."""

    def __init__(
        self,
        limit: int = 4_000,
        identity: str | None = None,
        files: JournalFiles | None = None,
        complain: Callable[[str], object] = lambda _trouble: None,
    ) -> None:
        self._files = files
        self._complain = complain
        self._trouble = ""
        found = files.load() if files is not None else []
        self._events: deque[Kept] = deque(found, maxlen=limit)
        identity = identity or (files.identity if files is not None else "") or secrets.token_hex(4)
        self._run = identity
        if files is not None:
            files.begin(identity)
            self._run += f".{secrets.token_hex(3)}"
        self._number = self._events[-1].number if self._events else 0
        self._listeners: list[Callable[[Event], None]] = []

    def append(self, kind: str, at: int, **fields: Any) -> Event:
        """Add an event that happened at wall-clock ns `at`."""
        self._number += 1
        event = {"cursor": f"{self._run}-{self._number}", "time": timestamp(at), "type": kind, **fields}
        line = msgspec.json.encode(event)
        self._events.append(Kept(self._number, self._run, line))
        if self._files is not None:
            self._files.append(line)
            if bool(self._files.trouble) is not bool(self._trouble):
                self._complain(self._files.trouble)
            self._trouble = self._files.trouble
        for listener in tuple(self._listeners):
            listener(event)
        return event

    def take(self, frame: Happening) -> Event:
        """Add what a worker tells; what it leaves empty is left out."""
        said = {
            "subject": frame.subject,
            "old": frame.old,
            "new": frame.new,
            "cause": frame.cause,
            "detail": frame.detail,
            "because": list(frame.because),
            "facts": dict(frame.facts),
        }
        return self.append(frame.kind, frame.at, **{key: value for key, value in said.items() if value})

    @property
    def trouble(self) -> str:
        """Why the newest events are not on disk, "" when they are, or need not be."""
        return self._trouble

    @property
    def cursor(self) -> str:
        """Where the journal ends now."""
        run = self._events[-1].run if self._events else self._run
        return f"{run}-{self._number}"

    def newest(self) -> list[Event]:
        """All that is kept, oldest first."""
        return [msgspec.json.decode(event.line) for event in self._events]

    def since(self, cursor: str, limit: int) -> tuple[list[Event], bool]:
        """The oldest `limit` events behind `cursor`, fewer where they are long (one in any case), and whether there is
        a gap before them.

        An empty cursor is the beginning of what is kept. Raises ValueError for what never was a cursor.
        """
        after, gap = 0, False
        if cursor:
            place = parse_cursor(cursor)
            if place is None:
                raise ValueError(f"{cursor!r} is not a cursor")
            after, gap = self._behind(*place)
        events: list[Event] = []
        size = 0
        for event in self._events:
            if event.number > after:
                size += len(event.line)
                if events and (len(events) == limit or size > _PAGE):
                    break
                events.append(msgspec.json.decode(event.line))
        return events, gap

    def _behind(self, run: str, number: int) -> tuple[int, bool]:
        """The number behind which a reader goes on that has come so far, and whether it has missed something."""
        end = max((event.number for event in self._events if event.run == run), default=None)
        if run == self._run and number <= self._number:
            end = self._number
        if end is None or (run == self._run and number > end):  # of another journal, or nothing of that run is left
            return 0, True
        oldest = self._events[0].number if self._events else 1
        return min(number, end), number > end or oldest > number + 1

    def follow(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with every new event until the function returned is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None


def subject_of(event: Event) -> str:
    """What the event happened to: "vrrp_instance VI_1". Reloads concern the whole agent: ""."""
    subject = event.get("subject")
    if isinstance(subject, str):
        return subject
    for key, kind in (("instance", "vrrp_instance"), ("group", "vrrp_sync_group"), ("process", "process")):
        if key in event:
            return f"{kind} {event[key]}"
    return ""
