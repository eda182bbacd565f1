"""bfd_instance -> the settings of the bfd worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET

from kactl_agent.bfd.auth import LONGEST_SECRET
from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType, BfdSettings, Mode, SessionSettings
from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.in_force import packed
from kactl_agent.config.schema.bfd import BfdInstance, key_bytes
from kactl_agent.config.schema.network import family_of
from kactl_agent.config.schema.shapes import or_default

SERVED_BFD = frozenset(
    {
        "neighbor_ip",
        "source_ip",
        "min_rx",
        "min_tx",
        "idle_tx",
        "multiplier",
        "passive",
        "ttl",
        "max_hops",
        "weight",
        "vrrp",
        "checker",
        "multihop",
        "interface",
        "authentication",
        "unaffiliated_echo",
        "padded_pdu_size",
        "x-keepalived",
    }
)
_INTERVAL = 10_000  # us; keepalived's default for both directions
_IDLE = 1_000_000
_MULTIPLIER = 5
_TTL = 255
_KEEPALIVED_HOP_LIMIT = 64  # what keepalived sends over IPv6 unless it is told something else
_TYPES = {
    "simple": AuthType.SIMPLE_PASSWORD,
    "keyed_md5": AuthType.KEYED_MD5,
    "meticulous_keyed_md5": AuthType.METICULOUS_KEYED_MD5,
    "keyed_sha1": AuthType.KEYED_SHA1,
    "meticulous_keyed_sha1": AuthType.METICULOUS_KEYED_SHA1,
}


def resolve_bfd(sheet: Sheet) -> BfdSettings:
    """All sessions: neighbours need them whether anything here tracks them or not."""
    sessions = tuple(_sessions(sheet))
    known: dict[tuple[object, ...], str] = {}
    for session in sessions:
        other = known.setdefault(session.identity, session.name)
        if other != session.name:
            text = f"bfd_instance {other} and {session.name} are one session: same neighbour, addresses and interface"
            sheet.error(("bfd_instance", session.name), "duplicate-session", text, "track one of them twice instead")
    return BfdSettings(sessions=sessions)


def privileges_for(settings: BfdSettings) -> tuple[str, ...]:
    """Names of the capabilities that sessions need."""
    looped = any(session.mode is Mode.UNAFFILIATED_ECHO for session in settings.sessions)
    return ("CAP_NET_RAW",) if looped else ()


def _sessions(sheet: Sheet) -> Iterator[SessionSettings]:
    for name, said in or_default(sheet.document.config.bfd_instance, {}).items():
        if said.neighbor_ip is UNSET:
            continue  # an error that has been reported
        yield _session(sheet, ("bfd_instance", name), name, said)


def _session(sheet: Sheet, path: Path, name: str, said: BfdInstance) -> SessionSettings:
    neighbor, source = or_default(said.neighbor_ip, ""), or_default(said.source_ip, "")
    interface = or_default(said.interface, "")
    mode = _mode(sheet, path, said)
    if source and family_of(source) != family_of(neighbor):
        sheet.error((*path, "source_ip"), "address-family", f"source_ip {source} is not of the family of {neighbor}")
    if not interface and packed(neighbor)[:1] == b"\xfe" and packed(neighbor)[1] & 0xC0 == 0x80:
        text = f"neighbor_ip {neighbor} is link-local: on which interface?"
        sheet.error((*path, "neighbor_ip"), "link-local", text, "say `interface`")
    neither = said.vrrp is UNSET and said.checker is UNSET
    return SessionSettings(
        name=name,
        neighbor=packed(neighbor),
        source=packed(source) if source else b"",
        interface=interface,
        mode=mode,
        desired_min_tx_interval=or_default(said.min_tx, _INTERVAL),
        required_min_rx_interval=or_default(said.min_rx, _INTERVAL),
        idle_tx_interval=or_default(said.idle_tx, _IDLE),
        detect_mult=or_default(said.multiplier, _MULTIPLIER),
        passive=or_default(said.passive, False),
        ttl=_TTL if mode is Mode.UNAFFILIATED_ECHO else or_default(said.ttl, _TTL),
        minimum_ttl=_minimum_ttl(said, mode, family_of(neighbor)),
        authentication=_authentication(sheet, path, said.authentication),
        padded_pdu_size=or_default(said.padded_pdu_size, 0),
        tell_vrrp=neither or or_default(said.vrrp, False),
        tell_checkers=neither or or_default(said.checker, False),
    )


def _mode(sheet: Sheet, path: Path, said: BfdInstance) -> Mode:
    multihop = or_default(said.multihop, False)
    if not or_default(said.unaffiliated_echo, False):
        return Mode.MULTIHOP if multihop else Mode.SINGLE_HOP
    place = (*path, "unaffiliated_echo")
    if multihop:
        text = "unaffiliated_echo is for one hop (RFC 9747, 3), and multihop for several"
        sheet.error(place, "echo-multihop", text, "leave one of them out")
    for keyword, why in (("interface", "to leave and come back by"), ("source_ip", "that they come back to")):
        if getattr(said, keyword) is UNSET:
            sheet.error(place, "echo-incomplete", f"unaffiliated_echo needs {keyword}, for packets {why}")
    if or_default(said.passive, False):
        sheet.error((*path, "passive"), "echo-passive", "nobody begins a session of unaffiliated_echo but this end")
    return Mode.UNAFFILIATED_ECHO


def default_minimum_ttl(family: int) -> int:
    """Of a packet over one hop, where neither `ttl` nor `max_hops` is said."""
    return _TTL if family == 4 else _KEEPALIVED_HOP_LIMIT


def _minimum_ttl(said: BfdInstance, mode: Mode, family: int) -> int:
    """`ttl` less `max_hops`, as in keepalived, which sends 64 over IPv6 where nobody says `ttl`."""
    hops = or_default(said.max_hops, 0)
    anywhere = mode is Mode.MULTIHOP and said.max_hops is UNSET  # RFC 5883 5
    if hops < 0 or anywhere or mode is Mode.UNAFFILIATED_ECHO:  # that one has its own rule
        return 0
    return max(0, or_default(said.ttl, default_minimum_ttl(family)) - hops)


def _authentication(sheet: Sheet, path: Path, said: Any) -> AuthSettings | None:
    """Whatever is wrong with it is an error: a session never runs silently unauthenticated."""
    if said is UNSET:
        return None
    path = (*path, "authentication")
    kind = _TYPES[or_default(said.auth_type, "meticulous_keyed_sha1")]
    keys: dict[int, AuthKey] = {}
    longest = LONGEST_SECRET[kind]
    for place, entry in enumerate(or_default(said.key, ())):
        number, text = or_default(entry.id, -1), entry.key
        if number < 0 or not isinstance(text, str):
            continue  # an error that has been reported
        secret = key_bytes(text)
        if number in keys:
            sheet.error((*path, "key", place), "duplicate-key", f"there are two keys with the number {number}")
        if len(secret) > longest:
            text = f"key {number} has {len(secret)} bytes, and {or_default(said.auth_type, 'sha1')} takes {longest}"
            sheet.error((*path, "key", place), "key-length", text)
        keys[number] = AuthKey(number, secret[:longest])
    if not keys:
        sheet.error(path, "no-key", "authentication has no key", "give it a `key` with `id` and `key`")
        return None
    active = or_default(said.active_key, next(iter(keys)))
    if active not in keys:
        text = f"active_key {active} is none of the keys {', '.join(map(str, keys))}"
        sheet.error((*path, "active_key"), "active-key", text)
        return None
    return AuthSettings(kind, tuple(keys.values()), active)
