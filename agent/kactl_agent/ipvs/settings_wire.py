"""The settings of virtual servers out of a message: what is the same in many of them is there once.

Thousands of real servers have the same timing and forwarding, and a reload changes few of them. A virtual server that
is the same as in the message before, byte for byte, is the very object that was made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from kactl_agent.checkers.settings import (
    CheckerSettings,
    CheckTiming,
    FileCheckSettings,
    HttpCheckSettings,
    MiscCheckSettings,
    SmtpCheckSettings,
)
from kactl_agent.ipvs.model import Forwarding
from kactl_agent.ipvs.settings import CheckersSettings, VirtualServerSettings

_REPEATED: dict[type[CheckerSettings], tuple[str, ...]] = {
    HttpCheckSettings: ("urls", "tls"),
    SmtpCheckSettings: ("helo_name",),
    MiscCheckSettings: ("command", "executable"),
    FileCheckSettings: ("file",),
}
"""What checkers of different real servers often have in common, beside their timing."""

_SERVERS = "virtual_servers"
_Message: type[Any] = msgspec.defstruct(
    "_Message",
    [
        (field.name, tuple[msgspec.Raw, ...] if field.name == _SERVERS else field.type, field.default)
        for field in msgspec.structs.fields(CheckersSettings)
    ],
    frozen=True,
    kw_only=True,
)
"""CheckersSettings whose virtual servers are bytes of the message still."""

_message_decoder = msgspec.msgpack.Decoder(_Message)
_server_decoder = msgspec.msgpack.Decoder(VirtualServerSettings)
_replace = msgspec.structs.force_setattr


class Decoded(NamedTuple):
    """Settings, and what each of their virtual servers was made of."""

    settings: CheckersSettings
    items: tuple[msgspec.Raw, ...]  # they keep the message


NOTHING = Decoded(CheckersSettings(), ())


def decode(message: bytes, before: Decoded = NOTHING) -> Decoded:
    """What `before` has already is taken from there. Raises msgspec.MsgspecError."""
    parts = msgspec.structs.asdict(_message_decoder.decode(message))
    items: tuple[msgspec.Raw, ...] = parts.pop(_SERVERS)
    return Decoded(CheckersSettings(virtual_servers=_servers(items, before), **parts), items)


def _servers(items: tuple[msgspec.Raw, ...], before: Decoded) -> tuple[VirtualServerSettings, ...]:
    """Most are where they were, counted from the one end or the other; those between are looked for."""
    old, known = before.items, before.settings.virtual_servers
    first = _alike(items, old)
    last = min(_alike(items[::-1], old[::-1]), len(items) - first, len(old) - first)
    end = len(old) - last
    moved = {hash(bytes(old[place])): place for place in range(first, end)}  # the bytes of all would be a message more
    between: list[VirtualServerSettings] = []
    decoder = _Decoder()
    for item in items[first : len(items) - last]:
        place = moved.get(hash(bytes(item)), -1) if moved else -1
        same = place >= 0 and old[place] == item
        between.append(known[place] if same else decoder.decode(item))
    return (*known[:first], *between, *known[end:])


def _alike(one: Sequence[msgspec.Raw], other: Sequence[msgspec.Raw]) -> int:
    """How many are equal, from the beginning."""
    for place, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return place
    return min(len(one), len(other))


class _Decoder:
    """Decodes virtual servers one after the other: what one has again is gone before the next one is made."""

    def __init__(self) -> None:
        # one for each kind of value: what is equal may be of another kind, as 1 and True are, or two named tuples
        self._timings: dict[CheckTiming, CheckTiming] = {}
        self._forwardings: dict[Forwarding, Forwarding] = {}
        self._timeouts: dict[int, int] = {}
        self._others: dict[str, dict[Any, Any]] = {}

    def decode(self, item: msgspec.Raw) -> VirtualServerSettings:
        server = _server_decoder.decode(item)
        self._share(server, ("scheduler", "quorum_up", "quorum_down"))
        timings, forwardings, timeouts = self._timings, self._forwardings, self._timeouts
        for real in server.real_servers:
            forwarding = real.forwarding
            if (same := forwardings.setdefault(forwarding, forwarding)) is not forwarding:
                _replace(real, "forwarding", same)
            if real.notify_up is not None or real.notify_down is not None:
                self._share(real, ("notify_up", "notify_down"))
            for checker in real.checkers:
                timing = checker.timing
                if (shared := timings.setdefault(timing, timing)) is not timing:
                    _replace(checker, "timing", shared)
                target = getattr(checker, "target", None)
                if target is not None:
                    timeout = target.timeout
                    if (one := timeouts.setdefault(timeout, timeout)) is not timeout:
                        _replace(target, "timeout", one)
                if repeated := _REPEATED.get(type(checker)):
                    self._share(checker, repeated)
        return server

    def _share(self, settings: msgspec.Struct, fields: Iterable[str]) -> None:
        """Nobody else has seen them yet, so that they may still change."""
        for field in fields:
            value = getattr(settings, field)
            if value is not None:
                known = self._others.setdefault(field, {}).setdefault(value, value)
                if known is not value:
                    _replace(settings, field, known)
