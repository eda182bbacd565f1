"""Hypothesis strategies for the whole schema: values of every shape, lines, blocks and configurations.

Everything is drawn from the keyword tables, so a new keyword is generated as soon as it has its field. Values stand in
canonical form: what a strategy draws is what the shape reads back from the words it writes. A flag that is off is never
drawn, since keepalived.conf cannot say it.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from kactl_agent.config.schema import checkers, global_defs, network, routes, rules, track, virtual_server, vrrp
from kactl_agent.config.schema.keyword import Field, table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import (
    Block,
    Bool,
    Choice,
    Command,
    Duration,
    Entries,
    Integer,
    Line,
    Named,
    NamedEntries,
    Optional,
    Repeated,
    Shape,
    Text,
    ValueFault,
    WordList,
)

Values = st.SearchStrategy[Any]

MOST_OPTIONS = 5
"""How many optional keywords of one block or line are set at once."""

_ACTIONS = ("table", "l3mdev", "goto", "nop", "blackhole", "unreachable", "prohibit")

EXACTLY_ONE: Mapping[type[Struct], tuple[str, ...]] = {
    routes.Encap: ("mpls", "ip", "ip6", "ila"),
    rules.RuleEntry: _ACTIONS,
    rules.StaticRuleEntry: _ACTIONS,
    virtual_server.GroupMember: ("address", "fwmark"),
    virtual_server.VirtualServer: ("address", "fwmark", "group"),
}
"""Attributes of which a value has exactly one."""

AT_LEAST_ONE: Mapping[type[Struct], tuple[str, ...]] = {
    global_defs.LvsTimeouts: ("tcp", "tcpfin", "udp"),
    routes.NextHop: ("via", "dev"),
}

_TRACKERS = (track.TrackInterface, track.TrackScript, track.TrackFile, track.TrackProcess, track.TrackBfd)

NEEDS: Mapping[tuple[type[Struct], str], str] = {
    **{(line, word): "weight" for line in _TRACKERS for word in ("reverse", "noreverse")},
    **{
        (rule, word): "table"
        for rule in (rules.RuleEntry, rules.StaticRuleEntry)
        for word in ("realms", "suppress_prefixlength", "suppress_ifgroup")
    },
    (virtual_server.GroupMember, "port"): "address",
    (virtual_server.GroupMember, "family"): "fwmark",
    (virtual_server.VirtualServer, "port"): "address",
}
"""An attribute that is set only together with another one."""


@cache
def structs() -> tuple[type[Struct], ...]:
    """Every struct of the schema, the configuration first."""
    found: dict[type[Struct], None] = {}

    def visit(struct: type[Struct]) -> None:
        if struct in found:
            return
        found[struct] = None
        for field in table_of(struct):
            for inner in structs_of(field.keyword.shape):
                visit(inner)

    visit(Config)
    return tuple(found)


def structs_of(shape: Shape) -> Iterator[type[Struct]]:
    """The structs directly inside a shape."""
    if isinstance(shape, Line | Block | Named):
        yield shape.struct
    elif isinstance(shape, Optional):
        yield from structs_of(shape.shape)
    elif isinstance(shape, Repeated | Entries | NamedEntries | WordList):
        yield from structs_of(shape.item)


@cache
def line_structs() -> tuple[type[Struct], ...]:
    """The structs that stand on lines."""
    found: dict[type[Struct], None] = {}

    def lines(shape: Shape) -> None:
        if isinstance(shape, Line):
            found[shape.struct] = None
        elif isinstance(shape, Optional):
            lines(shape.shape)
        elif isinstance(shape, Repeated | Entries | NamedEntries):
            lines(shape.item)

    for struct in structs():
        for field in table_of(struct):
            lines(field.keyword.shape)
    return tuple(found)


@cache
def _keywords() -> frozenset[str]:
    """Words that mean something to some line: no free text may be one of them."""
    words = {"inet", "inet6", *global_defs.INCLUDE_CHECK.values, *routes.ROUTE_TYPES}
    for struct in structs():
        table = table_of(struct)
        words.update(table.by_word, table.fillers)
    return frozenset(words)


# -- scalars ----------------------------------------------------------------------------------------------------------

_FIRST = string.ascii_letters + "_"
_REST = string.ascii_letters + string.digits + "_-.:/"


@st.composite
def words(draw: st.DrawFn, longest: int = 24) -> str:
    """A word without blanks, quotes or comment signs that is no keyword."""
    first = draw(st.sampled_from(_FIRST))
    return draw(
        st.text(_REST, max_size=max(longest, 1) - 1)
        .map(lambda rest: first + rest)
        .filter(lambda word: word not in _keywords())
    )


def ipv4() -> Values:
    return st.ip_addresses(v=4).map(str)


def ipv6() -> Values:
    # The plain form, without the mixed notation that differs between Python versions.
    return st.ip_addresses(v=6, network="2001:db8::/32").map(lambda a: network.IpAddress(6).parse(str(a)))


def _multicast(family: int | None) -> Values:
    four = st.ip_addresses(v=4, network="224.0.0.0/4").map(str)
    six = st.integers(1, 0xFFFF).map(lambda group: f"ff02::{group:x}")
    return four if family == 4 else six if family == 6 else four | six


def _address(shape: network.IpAddress) -> Values:
    if shape.multicast or isinstance(shape, vrrp.MulticastAddress):
        return _multicast(shape.family)
    plain = ipv4() if shape.family == 4 else ipv6() if shape.family == 6 else ipv4() | ipv6()
    return plain | st.sampled_from(shape.words) if shape.words else plain


def _prefix(shape: network.IpPrefix) -> Values:
    four = st.builds("{}/{}".format, ipv4(), st.integers(0, 32)) | ipv4()
    six = st.builds("{}/{}".format, ipv6(), st.integers(0, 128)) | ipv6()
    plain = four if shape.family == 4 else six if shape.family == 6 else four | six
    return plain | st.sampled_from(shape.words) if shape.words else plain


def _integer(shape: Integer) -> Values:
    low = -(2**31) if shape.minimum is None else shape.minimum
    high = 2**31 - 1 if shape.maximum is None else shape.maximum
    return st.integers(low, high)


def _duration(shape: Duration) -> Values:
    places = {"us": 0, "ms": 3, "s": 6}[shape.unit]
    step = 10 ** (places - min(shape.decimals, places))
    low = shape.minimum or 0
    high = 2**32 * 1_000_000 if shape.maximum is None else shape.maximum
    return st.integers(-(-low // step), high // step).map(lambda n: n * step)


def _name_or_number(shape: network.NameOrNumber) -> Values:
    numbers = st.integers(shape.minimum, shape.maximum).map(str)
    return numbers | st.sampled_from(shape.names) if shape.names else numbers


def _range(shape: network.NumberRange) -> Values:
    ends = st.lists(st.integers(shape.minimum, shape.maximum), min_size=2, max_size=2).map(sorted)
    return ends.map(lambda pair: f"{pair[0]}-{pair[1]}")


def _text(shape: Text) -> Values:
    if shape.pattern:
        return st.from_regex(shape.pattern, fullmatch=True).filter(lambda text: _reads(shape, text))
    limits = [n for n in (shape.cut, shape.maximum) if n is not None]
    return words(min([24, *limits])).filter(lambda text: _reads(shape, text))


def _reads(shape: Any, text: str) -> bool:
    """Whether the shape takes the text as it stands."""
    try:
        return bool(shape.parse(text) == text)
    except ValueFault:
        return False


def _command(shape: Command) -> Values:
    program = words(12).map(lambda word: f"/usr/local/bin/{word}")
    arguments = st.lists(words(8) | st.integers(0, 99).map(str), max_size=3)
    return st.builds(lambda p, a: " ".join([p, *a]), program, arguments)


def _mark(shape: network.MarkAndMask) -> Values:
    number = st.integers(0, 2**32 - 1)
    return number.map(str) | st.builds("{}/{:#x}".format, number, number)


def _address_range(shape: virtual_server.AddressRange) -> Values:
    byte = st.lists(st.integers(0, 255), min_size=2, max_size=2, unique=True).map(sorted)
    return ipv4() | ipv6() | byte.map(lambda ends: f"192.0.2.{ends[0]}-{ends[1]}")


def _status_codes(shape: checkers.StatusCodes) -> Values:
    pair = st.lists(st.integers(100, 599), min_size=2, max_size=2, unique=True).map(sorted)
    return st.integers(100, 599).map(str) | pair.map(lambda ends: f"{ends[0]}-{ends[1]}")


def _payload(shape: checkers.Payload) -> Values:
    return st.binary(min_size=1, max_size=12).map(lambda raw: "hex:" + raw.hex()) | words()


def _netmask(length: int) -> str:
    return ".".join(str((0xFFFFFFFF << (32 - length) >> shift) & 0xFF) for shift in (24, 16, 8, 0))


def _hmac_key(shape: vrrp.HmacKey) -> Values:
    raw = st.binary(min_size=32, max_size=64).map(lambda key: "hex:" + key.hex())
    return raw | words(24).map(lambda word: (word * 40)[:40]) | words(12).map(lambda word: f"file:/etc/kactl/{word}")


def _virtual_mac(shape: vrrp.VirtualMac) -> Values:
    octets = st.lists(st.integers(0, 255), min_size=4, max_size=5)
    return octets.map(lambda rest: ":".join(f"{octet:02x}" for octet in (2, *rest)))


_MODES = tuple(f"I{mode}{who}" for mode in "RWX" for who in ("USR", "GRP", "OTH"))

SCALARS: dict[type[Shape], Callable[[Any], Values]] = {
    Bool: lambda shape: st.just(True) if shape.bare_only else st.booleans(),
    Integer: _integer,
    Duration: _duration,
    Text: _text,
    Command: _command,
    Choice: lambda shape: st.sampled_from(shape.values),
    network.IpAddress: _address,
    network.IpPrefix: _prefix,
    network.InterfaceName: lambda shape: words(15).map(lambda name: name.replace("/", "-").replace(":", ".")),
    network.MacAddress: lambda shape: st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":")),
    network.Port: lambda shape: st.integers(0 if shape.zero else 1, 65535),
    network.NameOrNumber: _name_or_number,
    network.Realms: lambda shape: (
        st.builds("{}/{}".format, st.integers(0, 255), st.integers(0, 255)) | st.integers(0, 255).map(str)
    ),
    network.MarkAndMask: _mark,
    network.MplsLabels: lambda shape: st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=shape.most).map(
        lambda labels: "/".join(map(str, labels))
    ),
    network.NumberRange: _range,
    network.Lifetime: lambda shape: st.just("forever") | st.integers(0, 2**32 - 2).map(str),
    network.RouteTime: lambda shape: st.builds("{}{}".format, st.integers(0, 10**6), st.sampled_from(("", "s", "ms"))),
    global_defs.Umask: lambda shape: (
        st.integers(0, 0o777).map("0{:o}".format)
        | st.lists(st.sampled_from(_MODES), min_size=1, max_size=4, unique=True).map("|".join)
    ),
    global_defs.BufferPolicy: lambda shape: st.sampled_from(("MTU", "ADVERT")) | st.integers(1, 2**32 - 1).map(str),
    virtual_server.AddressRange: _address_range,
    virtual_server.Granularity: lambda shape: st.integers(1, 128).map(str) | st.integers(1, 32).map(_netmask),
    checkers.StatusCodes: _status_codes,
    checkers.Payload: _payload,
    vrrp.HmacKey: _hmac_key,
    # Any word switches it on in keepalived.conf, `off` too.
    vrrp.StuckBool: lambda shape: st.just(True),
    vrrp.VirtualMac: _virtual_mac,
}
"""How to draw values of a scalar, by its class or the nearest of its bases."""


# -- structures -------------------------------------------------------------------------------------------------------


def values(shape: Shape) -> Values:
    """Values of any shape, as the model holds them."""
    if isinstance(shape, Line | Block):
        one = instances(shape.struct)
        return st.lists(one, min_size=1, max_size=2).map(tuple) if isinstance(shape, Block) and shape.many else one
    if isinstance(shape, Optional):
        inner = values(shape.shape)
        # A line that says nothing is the keyword alone.
        return st.just(shape.bare) | inner.filter(lambda value: not isinstance(value, Struct) or value != type(value)())
    if isinstance(shape, WordList):
        return st.lists(values(shape.item), min_size=max(shape.minimum, 1), max_size=3).map(tuple)
    if isinstance(shape, Repeated | Entries):
        return st.lists(values(shape.item), min_size=1, max_size=3).map(tuple)
    if isinstance(shape, Named):
        return st.dictionaries(values(shape.name), instances(shape.struct), min_size=1, max_size=2)
    if isinstance(shape, NamedEntries):
        entries = st.lists(values(shape.item), min_size=1, max_size=2).map(tuple)
        return st.dictionaries(values(shape.name), entries, min_size=1, max_size=2)
    for base in type(shape).__mro__:
        if base in SCALARS:
            return SCALARS[base](shape)
    raise TypeError(f"no strategy for {type(shape).__name__}: add it to SCALARS")


@st.composite
def instances(draw: st.DrawFn, struct: type[Struct], most: int = MOST_OPTIONS) -> Any:
    """Values of one struct: every required keyword, and up to `most` others."""
    table = table_of(struct)
    chosen = {f.attribute for f in table if f.keyword.required}
    for attributes in (EXACTLY_ONE.get(struct), AT_LEAST_ONE.get(struct)):
        if attributes:
            chosen.add(draw(st.sampled_from(attributes)))
    others = [f.attribute for f in table if _may_choose(struct, f, chosen)]
    if others:
        picked = draw(st.lists(st.sampled_from(others), unique=True, max_size=most))
        chosen.update(picked)
        chosen.difference_update({a for a in chosen if NEEDS.get((struct, a), a) not in chosen})
    _fill_positions(struct, chosen)
    return struct(**{f.attribute: draw(values(f.keyword.shape)) for f in table if f.attribute in chosen})


def _may_choose(struct: type[Struct], field: Field, chosen: set[str]) -> bool:
    attribute = field.attribute
    if attribute in chosen or field.keyword.extension or attribute in EXACTLY_ONE.get(struct, ()):
        return False
    needed = NEEDS.get((struct, attribute))
    return needed is None or needed in chosen or needed not in EXACTLY_ONE.get(struct, ())


def _fill_positions(struct: type[Struct], chosen: set[str]) -> None:
    """A positional word needs the ones before it, unless it can be named."""
    if struct in EXACTLY_ONE:
        return
    positional = [f for f in table_of(struct).positional if not f.keyword.named]
    last = max((n for n, f in enumerate(positional) if f.attribute in chosen), default=-1)
    chosen.update(f.attribute for f in positional[: last + 1])


def configs(most: int = MOST_OPTIONS) -> st.SearchStrategy[Config]:
    """Configurations in which every keyword can occur. Names that refer to others need not be defined."""
    return instances(Config, most)
