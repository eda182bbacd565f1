"""What an instance was told and what it did, as JSON lines: to record, to replay, to explain.

The first line is the `Header`: format, version, settings. Every other line is one `Entry`: the time, what the engine
was told (a packet, a timer, an input), the actions it returned, and its state and deadline afterwards. Bytes are in
base64.
A recording of an instance with a password holds the password, as its packets do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from kactl_agent.vrrp.actions import Action, AnyAction, AnyInput, Drain, Input, PacketMeta, State, Transition
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.settings import VrrpSettings
from kactl_agent.vrrp.snapshot import InstanceSnapshot

FORMAT = "kactl-vrrp-recording"
VERSION = 1


class RecordingError(ValueError):
    """A recording that cannot be read; says which line."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line."""

    format: str = FORMAT
    version: int = VERSION
    intent: str = ""  # what a recording shows, for people
    settings: VrrpSettings


class Packet(msgspec.Struct, frozen=True, tag="packet", tag_field="told"):
    """`receive` was called."""

    data: bytes
    meta: PacketMeta


class Timer(msgspec.Struct, frozen=True, tag="timer", tag_field="told"):
    """`handle_timer` was called."""


class Event(msgspec.Struct, frozen=True, tag="event", tag_field="told"):
    """`handle_event` was called."""

    event: AnyInput


class Reconfiguration(msgspec.Struct, frozen=True, tag="reconfiguration", tag_field="told"):
    """`reconfigure` was called."""

    settings: VrrpSettings


Told = Packet | Timer | Event | Reconfiguration


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the engine and what came of it. Times are ns."""

    now: int
    stimulus: Told
    actions: tuple[AnyAction, ...] = ()
    state: State = State.INIT
    deadline: int | None = None


class Difference(msgspec.Struct, frozen=True):
    """Where a replay leaves its recording."""

    line: int  # of the recording, from 1
    recorded: Entry
    replayed: Entry


_encoder = msgspec.json.Encoder()
_header_decoder = msgspec.json.Decoder(Header)
_entry_decoder = msgspec.json.Decoder(Entry)


class Recorder:
    """A VRRP engine that writes down what happens to it. It is driven like the engine itself."""

    def __init__(self, settings: VrrpSettings, write: Callable[[bytes], object], intent: str = "") -> None:
        """`write` is given each line, with its line feed."""
        self.instance = VrrpInstance(settings)
        self._write = write
        write(_encoder.encode(Header(intent=intent, settings=settings)) + b"\n")

    @property
    def state(self) -> State:
        return self.instance.state

    @property
    def wants_master(self) -> bool:
        return self.instance.wants_master

    @property
    def faults(self) -> tuple[str, ...]:
        return self.instance.faults

    @property
    def drained(self) -> Drain | None:
        return self.instance.drained

    def receive(self, data: bytes, meta: PacketMeta, now: int) -> list[Action]:
        return self._record(now, Packet(data, meta), self.instance.receive(data, meta, now))

    def handle_timer(self, now: int) -> list[Action]:
        return self._record(now, Timer(), self.instance.handle_timer(now))

    def handle_event(self, event: Input, now: int) -> list[Action]:
        actions = self.instance.handle_event(event, now)  # first: it refuses what is no input of a VRRP instance
        return self._record(now, Event(msgspec.convert(event, AnyInput)), actions)

    def reconfigure(self, settings: VrrpSettings, now: int) -> list[Action]:
        return self._record(now, Reconfiguration(settings), self.instance.reconfigure(settings, now))

    def deadline(self) -> int | None:
        return self.instance.deadline()

    def count(self, counter: str) -> int:
        return self.instance.count(counter)

    def snapshot(self) -> InstanceSnapshot:
        return self.instance.snapshot()

    def _record(self, now: int, stimulus: Told, actions: list[Action]) -> list[Action]:
        entry = _entry(now, stimulus, actions, self.instance)
        self._write(_encoder.encode(entry) + b"\n")
        return actions


def read(lines: Iterable[bytes]) -> tuple[Header, Iterator[tuple[int, Entry]]]:
    """The header of a recording, and its entries with their line numbers. Raises RecordingError, also on the way."""
    numbered = enumerate(lines, 1)
    _, first = next(numbered, (1, b""))
    try:
        header = _header_decoder.decode(first)
    except msgspec.MsgspecError as error:
        raise RecordingError(f"line 1: no header of a recording: {error}") from None
    if header.format != FORMAT or header.version != VERSION:
        raise RecordingError(f"line 1: {header.format!r} version {header.version} is not {FORMAT!r} version {VERSION}")
    return header, _entries(numbered)


def _entries(numbered: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Entry]]:
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            yield number, _entry_decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise RecordingError(f"line {number}: {error}") from None


def replay(lines: Iterable[bytes]) -> Difference | None:
    """Tell a new engine what the recording says; the first difference, or None. Raises RecordingError."""
    header, entries = read(lines)
    instance = VrrpInstance(header.settings)
    for number, recorded in entries:
        replayed = tell(instance, recorded.stimulus, recorded.now)
        if replayed != recorded:
            return Difference(number, recorded, replayed)
    return None


def tell(instance: VrrpInstance, stimulus: Told, now: int) -> Entry:
    """Call the engine with what a recording holds; what came of it."""
    if isinstance(stimulus, Packet):
        actions = instance.receive(stimulus.data, stimulus.meta, now)
    elif isinstance(stimulus, Timer):
        actions = instance.handle_timer(now)
    elif isinstance(stimulus, Reconfiguration):
        actions = instance.reconfigure(stimulus.settings, now)
    else:
        actions = instance.handle_event(stimulus.event, now)
    return _entry(now, stimulus, actions, instance)


def _entry(now: int, stimulus: Told, actions: list[Action], instance: VrrpInstance) -> Entry:
    return Entry(
        now=now,
        stimulus=stimulus,
        actions=msgspec.convert([_without_evidence(action) for action in actions], tuple[AnyAction, ...]),
        state=instance.state,
        deadline=instance.deadline(),
    )


def _without_evidence(action: Action) -> Action:
    """It follows from what else is recorded."""
    return msgspec.structs.replace(action, evidence=None) if isinstance(action, Transition) else action
