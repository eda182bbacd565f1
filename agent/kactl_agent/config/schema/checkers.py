"""The checkers of a real server: TCP_CHECK, HTTP_GET, SSL_GET, SMTP_CHECK, DNS_CHECK, UDP_CHECK, PING_CHECK, MISC_CHECK,
FILE_CHECK and BFD_CHECK."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BOOL, FLAG, BlockKeywords, Keyword, Keywords, Legacy
from kactl_agent.config.schema.network import InterfaceName, IpAddress, Port
from kactl_agent.config.schema.script import UserGroup
from kactl_agent.config.schema.shapes import (
    Block,
    Bool,
    Choice,
    Command,
    Duration,
    Integer,
    Json,
    Line,
    Maybe,
    MissingWord,
    Optional,
    Quoted,
    Scalar,
    Text,
    ValueFault,
    WholeSeconds,
)

MAX_UNSIGNED = 2**32 - 1
MAX_SIGNED = 2**31 - 1

# -- scalars ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AnyWordBool(Bool):
    """A switch that keepalived 2.2 knows only to switch on: it takes every word for on, `off` too. Later ones know `off`."""

    def parse(self, text: str) -> bool:
        try:
            return super().parse(text)
        except ValueFault as fault:
            fault.taken = True
            raise

    def parse_yaml(self, text: str) -> bool:
        return BOOL.parse_yaml(text)


@dataclass(frozen=True)
class StatusCodes(Scalar[str]):
    """An HTTP status code or a range of them, both ends included: `200`, `200-299`. Value: canonical text."""

    _RANGE: ClassVar[re.Pattern[str]] = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?")

    def parse(self, text: str) -> str:
        match = self._RANGE.fullmatch(text)
        low = int(match[1]) if match else 0
        high = int(match[2]) if match and match[2] else low
        if not 100 <= low <= high <= 599:
            raise ValueFault(f"`{text}` is no HTTP status code or range of them", f"expected {self.describe()}")
        return text

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if value.isdigit() else value

    def describe(self) -> str:
        return "<100..599>[-<100..599>]"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        code = "[1-5][0-9][0-9]"
        return {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "string", "pattern": f"^{code}(?:-{code})?$"},
            ]
        }


_HEX = "hex:"


@dataclass(frozen=True)
class Payload(Scalar[str]):
    """Bytes of a datagram: `hex:` and two digits a byte, or the text itself. Value: that.

    keepalived writes text in double quotes and bytes as words of hexadecimal digits, in which the odd digit at the end of
    a word is a byte of its own. With `wildcard`, an `x` stands for any digit.
    """

    wildcard: bool = False

    @property
    def quoted(self) -> bool:
        return True

    def read(self, words: Sequence[str], at: int) -> tuple[str, int]:
        if at >= len(words):
            raise MissingWord("a value is missing", f"expected {self.describe()}", word=at - 1)
        if isinstance(words[at], Quoted):
            return self._text(words[at]), at + 1
        digits = "".join(self._bytes(word, at + n) for n, word in enumerate(words[at:]))
        return _HEX + digits, len(words)

    def write(self, value: str) -> list[str]:
        if not value.startswith(_HEX):
            return [Quoted(value)]
        digits = value.removeprefix(_HEX)
        return [digits[n : n + 2] for n in range(0, len(digits), 2)]

    def parse(self, text: str) -> str:
        if text.startswith(_HEX):
            return _HEX + "".join(self._bytes(word, None) for word in text.removeprefix(_HEX).split())
        return self._text(text)

    def _text(self, text: str) -> str:
        if not text:
            raise ValueFault("an empty text")
        return _HEX + text.encode().hex() if text.startswith(_HEX) or not text.isprintable() else str(text)

    def _bytes(self, word: str, at: int | None) -> str:
        digit = "[0-9a-fA-FxX]" if self.wildcard else "[0-9a-fA-F]"
        if not re.fullmatch(f"{digit}+", word):
            raise ValueFault(f"`{word}` is not hexadecimal", "text stands in double quotes", word=at)
        even, odd = word[: len(word) & ~1].lower(), word[len(word) & ~1 :].lower()
        return even + (f"0{odd}" if odd else "")

    def describe(self) -> str:
        return f'<hex{" with x for any digit" if self.wildcard else ""}>|"<text>"'

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": ["string", "number", "boolean"]}


@dataclass(frozen=True)
class DomainName(Text):
    """A name to ask for; `.` is the root of the DNS."""

    what: str = "domain name"

    def parse(self, text: str) -> str:
        name = super().parse(text)
        labels = name.removesuffix(".").split(".") if name != "." else []
        if any(not label for label in labels):
            raise ValueFault(f"`{text}` has an empty label")
        if any(len(label.encode()) > 63 for label in labels) or len(name.encode()) > 255:
            # RFC 1035 section 2.3.4
            raise ValueFault(f"`{text}` is no domain name", "a label has at most 63 octets, a name at most 255")
        return name


# -- what checkers share ------------------------------------------------------------------------------------------------

_INHERITED = "the real server's, then the virtual server's"

MISPLACED_RETRY = Legacy("Number of tries of a check, in the words of HTTP_GET up to version 1.2", "retry")


ALPHA = Keyword(
    BOOL,
    "Take the real server for down at the start, until the check has succeeded once",
    default=f"{_INHERITED}; off",
    process="checker",
)
DELAY_LOOP = Keyword(
    Duration(minimum=1, maximum=18_446_744_073_709_551_614),
    "Time from one check to the next, in seconds",
    default=f"{_INHERITED}; 60",
    process="checker",
)
RETRY = Keyword(
    Integer(0, MAX_UNSIGNED),
    "Further tries after a failure before the check counts as failed",
    default=f"{_INHERITED}; 1, for DNS_CHECK 3, for MISC_CHECK 0",
    process="checker",
)
DELAY_BEFORE_RETRY = Keyword(
    Duration(maximum=18_446_744_073_709_551_614),
    "Time from a failure to the next try, in seconds",
    default=f"{_INHERITED}; 1, for HTTP_GET and SSL_GET 3, for DNS_CHECK its delay_loop",
    process="checker",
)
WARMUP = Keyword(
    Duration(maximum=18_446_744_073_709_551_614),
    "Longest random delay of the first check, in seconds: spreads the checks of many servers; 0 starts them at once",
    default=f"{_INHERITED}; the delay_loop",
    process="checker",
)
CONNECT_TIMEOUT = Keyword(
    Duration(minimum=1, maximum=4_294_967_295),
    "Time to wait for a connection or an answer, in seconds",
    default=f"{_INHERITED}; 5",
    process="checker",
)


CHECK_JITTER = Keyword(
    Integer(0, 50, unit="percent"),
    "Random part of the time to the next check that is taken off it, in percent: many agents do not ask at once",
    default=f"{_INHERITED}; 0",
    extension=True,
    process="checker",
)
DELAY_LOOP_DOWN = Keyword(
    Duration(minimum=10_000, maximum=86_400_000_000),
    "Time from a failed check to the next while the checker says down, in seconds: a server that is back is seen sooner",
    default=f"{_INHERITED}; the delay_loop, for HTTP_GET and SSL_GET at least delay_before_retry",
    extension=True,
    process="checker",
)


class CheckTiming(BlockKeywords, frozen=True, kw_only=True):
    """When checks run and what their results count for; for a server, the defaults of its checkers."""

    alpha: Annotated[Maybe[bool], ALPHA] = UNSET
    delay_loop: Annotated[Maybe[int], DELAY_LOOP] = UNSET
    retry: Annotated[Maybe[int], RETRY] = UNSET
    delay_before_retry: Annotated[Maybe[int], DELAY_BEFORE_RETRY] = UNSET
    warmup: Annotated[Maybe[int], WARMUP] = UNSET
    check_jitter: Annotated[Maybe[int], CHECK_JITTER] = UNSET
    delay_loop_down: Annotated[Maybe[int], DELAY_LOOP_DOWN] = UNSET


class Checker(CheckTiming, frozen=True, kw_only=True):
    """What every checker that runs by itself takes."""

    legacy: ClassVar[Mapping[str, Legacy]] = {"nb_get_retry": MISPLACED_RETRY}

    log_all_failures: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Log each failed try, not only the change to down",
            default="checker_log_all_failures",
            process="checker",
        ),
    ] = UNSET


class Connection(Checker, frozen=True, kw_only=True):
    """A checker that talks to the server: where to, from where, and how long it waits."""

    connect_ip: Annotated[
        Maybe[str],
        Keyword(IpAddress(), "Address to check", default="the real server's", process="checker"),
    ] = UNSET
    connect_port: Annotated[
        Maybe[int],
        Keyword(Port(), "Port to check", default="the real server's", process="checker"),
    ] = UNSET
    bindto: Annotated[
        Maybe[str],
        Keyword(IpAddress(), "Local address to check from", default="chosen by the kernel", process="checker"),
    ] = UNSET
    bind_if: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(cut=False),
            "Interface to check through; necessary when bindto is an IPv6 link-local address",
            default="chosen by the kernel",
            process="checker",
        ),
    ] = UNSET
    bind_port: Annotated[
        Maybe[int],
        Keyword(Port(), "Local port to check from", default="chosen by the kernel", process="checker"),
    ] = UNSET
    fwmark: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, MAX_UNSIGNED),
            "Firewall mark of the packets sent (SO_MARK)",
            default="0: none",
            process="checker",
        ),
    ] = UNSET
    connect_timeout: Annotated[Maybe[int], CONNECT_TIMEOUT] = UNSET


# -- the checkers -------------------------------------------------------------------------------------------------------


class TcpCheck(Connection, frozen=True, kw_only=True):
    """TCP_CHECK: succeeds when a TCP connection is made in time."""


class PingCheck(Connection, frozen=True, kw_only=True):
    """PING_CHECK: succeeds when an ICMP echo request is answered in time. Ports have no meaning for it."""


class SmtpHost(Connection, frozen=True, kw_only=True):
    """host: one target of an SMTP_CHECK. Deprecated: its keywords can stand in SMTP_CHECK itself."""


class SmtpCheck(Connection, frozen=True, kw_only=True):
    """SMTP_CHECK: succeeds when the server greets with 220 and answers HELO with 250."""

    helo_name: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "Name this machine gives in HELO",
            default="smtpchecker.keepalived.org",
            process="checker",
        ),
    ] = UNSET
    host: Annotated[
        Maybe[tuple[SmtpHost, ...]],
        Keyword(
            Block(SmtpHost, many=True, single_form=True),
            "A target to check. What it does not say is as in SMTP_CHECK",
            default="the real server",
            replaced_by="connect_ip, connect_port and the others, in SMTP_CHECK itself",
            process="checker",
        ),
    ] = UNSET


class DnsCheck(Connection, frozen=True, kw_only=True):
    """DNS_CHECK: succeeds when a query over UDP is answered without an error code."""

    type: Annotated[
        Maybe[str],
        Keyword(
            Choice(("A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"), any_case=True),
            "Type of the records asked for",
            default="SOA",
            process="checker",
        ),
    ] = UNSET
    name: Annotated[
        Maybe[str],
        Keyword(DomainName(), "Domain name asked for", default="`.`, the root", again="ignored", process="checker"),
    ] = UNSET


class UdpCheck(Connection, frozen=True, kw_only=True):
    """UDP_CHECK: sends a datagram; fails on an ICMP error, or where a reply is required, on none or a wrong one.

    ICMP errors for a host that is gone come after the ARP timeout: a connect_timeout of 4 s or more lets them arrive.
    """

    payload: Annotated[
        Maybe[str],
        Keyword(
            Payload(),
            "What is sent. YAML: the text itself, or `hex:` and the bytes in hexadecimal",
            default="an empty datagram",
            process="checker",
        ),
    ] = UNSET
    require_reply: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Payload(wildcard=True)),
            "Fail unless a reply comes; with a pattern, unless it begins like the pattern. YAML: true, the text itself, or "
            "`hex:` and the bytes in hexadecimal, where `x` stands for any digit",
            default="off",
            process="checker",
        ),
    ] = UNSET
    min_reply_length: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 65535, unit="bytes"), "Shortest reply that counts, in bytes", default="0", process="checker"
        ),
    ] = UNSET
    max_reply_length: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 65535, unit="bytes"),
            "Longest reply that counts, in bytes",
            default="no limit. keepalived documents 255, and 2.2.7 takes longer replies",
            process="checker",
        ),
    ] = UNSET


class MiscCheck(Checker, frozen=True, kw_only=True):
    """MISC_CHECK: runs a program; exit status 0 is success."""

    legacy: ClassVar[Mapping[str, Legacy]] = {
        "nb_get_retry": MISPLACED_RETRY,
        "connect_timeout": Legacy("Time a connection may take; a program makes its own connections", "misc_timeout"),
        "connect_port": Legacy("Port to check; the program decides itself what it checks"),
        "inhibit_on_failure": Legacy(
            "Weight 0 rather than removal; it belongs to the real server", "inhibit_on_failure of real_server"
        ),
        "connect_ip": Legacy("Address to check; the program decides itself what it checks"),
    }

    misc_path: Annotated[
        Maybe[str],
        Keyword(
            Command(),
            "Program to run, with an absolute path; with arguments, the whole is one quoted word",
            required=True,
            process="checker",
        ),
    ] = UNSET
    misc_timeout: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(maximum=4_294_000_000),
            "Time a run may take, in whole seconds: after it the program is ended and the check has failed",
            default="the delay_loop",
            process="checker",
        ),
    ] = UNSET
    misc_dynamic: Annotated[
        Maybe[bool],
        Keyword(
            AnyWordBool(),
            "Exit status 2..255 is success too and sets the weight of the real server to the status less 2. keepalived 2.2 takes `off` for on",
            default="off: every exit status but 0 is failure",
            process="checker",
        ),
    ] = UNSET
    user: Annotated[
        Maybe[UserGroup],
        Keyword(Line(UserGroup), "Identity the program runs as", default="script_user", process="checker"),
    ] = UNSET


class FileWeight(Keywords, frozen=True, kw_only=True):
    """`WEIGHT [reverse|noreverse]` of a FILE_CHECK."""

    weight: Annotated[
        Maybe[int],
        Keyword(
            Integer(-MAX_SIGNED, MAX_SIGNED),
            "Factor for the value in the file; with 0, any value but 0 takes the real server down",
            position=0,
            required=True,
            process="checker",
        ),
    ] = UNSET
    reverse: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Turn the sign of the value round", default="as the track_file says", process="checker"),
    ] = UNSET
    noreverse: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Keep the sign, though the track_file says reverse", default="off", process="checker"),
    ] = UNSET


class FileCheck(BlockKeywords, frozen=True, kw_only=True):
    """FILE_CHECK: the value in a tracked file changes the weight of the real server, or takes it down."""

    legacy: ClassVar[Mapping[str, Legacy]] = {
        "dynamic": Legacy("Adjust the weight by the value in the file; a weight other than 0 always does", "weight"),
    }

    track_file: Annotated[
        Maybe[str],
        Keyword(Text("name"), "The track_file block to follow", required=True, process="checker"),
    ] = UNSET
    weight: Annotated[
        Maybe[FileWeight],
        Keyword(
            Line(FileWeight),
            "What the value in the file counts: value times weight is added to the weight of the real server",
            default="the weight of the track_file",
            process="checker",
        ),
    ] = UNSET


class BfdCheck(BlockKeywords, frozen=True, kw_only=True):
    """BFD_CHECK: the real server is up while a BFD session is."""

    name: Annotated[
        Maybe[str],
        Keyword(Text("name"), "The bfd_instance to follow", required=True, again="ignored", process="checker"),
    ] = UNSET
    alpha: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Take the real server for down until the session is up",
            default=f"{_INHERITED}; off",
            process="checker",
        ),
    ] = UNSET
