"""The checkers of real servers -> the settings of their engines (`kactl_agent.checkers.settings`).

What a checker does not say itself its real server says, then the virtual server, then keepalived's default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any

from msgspec import UNSET, Struct

from kactl_agent.checkers.http import host_header
from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    BfdCheckSettings,
    CheckTiming,
    ConnectTarget,
    DnsCheckSettings,
    FileCheckSettings,
    HttpCheckSettings,
    HttpVersion,
    MiscCheckSettings,
    PingCheckSettings,
    RegexSettings,
    SmtpCheckSettings,
    TcpCheckSettings,
    TlsSettings,
    UdpCheckSettings,
    UrlSettings,
)
from kactl_agent.config.checks.problem import Path, Sheet
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.config.trackers import command_words, file_settings
from kactl_agent.tracking.settings import Command
from kactl_agent.vrrp.settings import MICROSECOND, SECOND

_INHERITED = ("alpha", "delay_loop", "retry", "delay_before_retry", "warmup", "check_jitter", "delay_loop_down")
_TIMING = frozenset({*_INHERITED, "log_all_failures", "x-keepalived"})
_CONNECTION = _TIMING | {
    *("connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "connect_timeout"),
}
_HTTP = _CONNECTION | {"http_protocol", "virtualhost", "enable_sni", "fast_recovery", "url"}
_URL = frozenset(
    {
        *("path", "status_code", "digest", "virtualhost", "x-keepalived"),
        *("regex", "regex_no_match", "regex_options", "regex_stack", "regex_min_offset", "regex_max_offset"),
    }
)
SERVED_CHECKERS: dict[str, frozenset[str]] = {
    # block -> the keywords of it that the agent acts on
    "TCP_CHECK": _CONNECTION,
    "PING_CHECK": _CONNECTION,
    "SMTP_CHECK": _CONNECTION | {"helo_name", "host"},
    "SMTP_CHECK/host": _CONNECTION,
    "DNS_CHECK": _CONNECTION | {"type", "name"},
    "UDP_CHECK": _CONNECTION | {"payload", "require_reply", "min_reply_length", "max_reply_length"},
    "MISC_CHECK": _TIMING | {"misc_path", "misc_timeout", "misc_dynamic", "user"},
    "FILE_CHECK": frozenset({"track_file", "weight", "x-keepalived"}),
    "BFD_CHECK": frozenset({"name", "alpha", "x-keepalived"}),
    "HTTP_GET": _HTTP,
    "SSL_GET": _HTTP | {"tls_compliant", "tls_verify", "tls_expiry_warning"},
    "HTTP_GET/url": _URL,
    "SSL_GET/url": _URL | {"tls_compliant"},
}
SERVED_GLOBAL = frozenset({"checker_log_all_failures"})
SERVED_ROOT = frozenset({"SSL"})

_DAY = 24 * 60 * 60 * SECOND
_SERVERS_TIMES = attrgetter(*_INHERITED)
_TIMES = attrgetter(*_INHERITED, "log_all_failures")
_RETRIES = {"DNS_CHECK": 3, "MISC_CHECK": 0}
_DELAY_BEFORE_RETRY = {"HTTP_GET": 3_000_000, "SSL_GET": 3_000_000}


class CheckerResolver:
    """The checkers of one document; what is the same for many is made once."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._config = sheet.document.config
        said = self._config.global_defs
        self._log_failures = said is not UNSET and bool(or_default(said.checker_log_all_failures, False))
        self._timings: dict[CheckTiming, CheckTiming] = {}
        self._timings_said: dict[tuple[object, ...], CheckTiming] = {}
        self._served: set[int] = set()

    def resolve(self, path: Path, server: Any, real: Any, address: str, port: int) -> tuple[AnyCheckerSettings, ...]:
        """Those of one real server. `address` and `port` are where they go if they say nothing else."""
        made: list[AnyCheckerSettings] = []
        for (keyword, settings), blocks in zip(_CHECKERS.items(), _BLOCKS(real), strict=True):
            if blocks is UNSET:
                continue
            for index, block in enumerate(blocks):
                place: Path = (*path, keyword, index)
                self._say_what_is_not_served(place, keyword, block)
                made.extend(
                    settings(_Checker(self, self._sheet, keyword, place, block, (real, server), (address, port)))
                )
        return tuple(made)

    def timing(self, said: tuple[object, ...], make: Callable[[], CheckTiming]) -> CheckTiming:
        """`said` is all that decides on it."""
        found = self._timings_said.get(said)
        if found is None:
            made = make()
            found = self._timings_said[said] = self._timings.setdefault(made, made)
        return found

    def tls(self, block: Any) -> TlsSettings:
        """The SSL block, and what an SSL_GET says itself."""
        said = self._config.SSL

        def picked(keyword: str) -> str:
            value = "" if said is UNSET else or_default(getattr(said, keyword), "")
            return value if isinstance(value, str) else ""  # a secret that cannot be read has been reported

        return TlsSettings(
            certificate=picked("certificate"),
            key=picked("key"),
            password=picked("password"),
            ca=picked("ca"),
            verify=or_default(block.tls_verify, False),
            expiry_warning=or_default(block.tls_expiry_warning, 0) * _DAY,
        )

    @property
    def logs_failures(self) -> bool:
        return self._log_failures

    def tracked_file(self, name: str) -> Any:
        return or_default(self._config.track_file, {}).get(name)

    def _say_what_is_not_served(self, path: Path, keyword: str, block: Any) -> None:
        if id(block) in self._served:
            return
        before = len(self._sheet.problems)
        struct: type[Struct] = type(block)
        for field, value in table_of(struct).set_fields(block):
            if field.name not in SERVED_CHECKERS[keyword]:
                text = f"{field.name} is not served by this version of the agent"
                self._sheet.warning((*path, field.name), "not-served", text)
            elif field.name in ("host", "url"):
                for index, inner in enumerate(value):
                    self._say_what_is_not_served((*path, field.name, index), f"{keyword}/{field.name}", inner)
        if len(self._sheet.problems) == before:
            self._served.add(id(block))  # many real servers have it


class _Checker:
    """One checker block: `owners` are the real and the virtual server, `server` is the real server's address."""

    def __init__(
        self,
        resolver: CheckerResolver,
        sheet: Sheet,
        keyword: str,
        path: Path,
        block: Any,
        owners: tuple[Any, Any],
        server: tuple[str, int],
    ) -> None:
        self._resolver = resolver
        self._sheet = sheet
        self._keyword = keyword
        self._path = path
        self._block = block
        self._owners = owners
        self._server = server

    # -- what checkers share -------------------------------------------------------------------------------------------

    def _pick(self, keyword: str, default: Any, block: Any = None) -> Any:
        """The innermost block that says it, from a host to the virtual server."""
        value = self._own(keyword, UNSET, block)
        for owner in self._owners:
            if value is UNSET:
                value = getattr(owner, keyword, UNSET)
        return default if value is UNSET else value

    def _own(self, keyword: str, default: Any, block: Any = None) -> Any:
        """What the host or the checker says: servers have words that mean something else."""
        for owner in (block, self._block):
            value = UNSET if owner is None else getattr(owner, keyword)
            if value is not UNSET:
                return value
        return default

    def _timing(self, block: Any = None) -> CheckTiming:
        said = (self._keyword, *(None if each is None else _TIMES(each) for each in (block, self._block)))
        return self._resolver.timing((*said, *map(_SERVERS_TIMES, self._owners)), partial(self._make_timing, block))

    def _make_timing(self, block: Any) -> CheckTiming:
        loop = self._pick("delay_loop", 60_000_000, block)
        if self._keyword == "DNS_CHECK":
            before_retry = self._pick("delay_before_retry", loop, block)
        else:
            before_retry = self._pick("delay_before_retry", _DELAY_BEFORE_RETRY.get(self._keyword, 1_000_000), block)
        down = max(loop, before_retry) if self._keyword in _DELAY_BEFORE_RETRY else loop
        return CheckTiming(
            delay_loop=loop * MICROSECOND,
            warmup=self._pick("warmup", loop, block) * MICROSECOND,
            retry=self._pick("retry", _RETRIES.get(self._keyword, 1), block),
            delay_before_retry=before_retry * MICROSECOND,
            delay_while_down=self._pick("delay_loop_down", down, block) * MICROSECOND,
            alpha=self._pick("alpha", False, block),
            log_all_failures=self._pick("log_all_failures", self._resolver.logs_failures, block),
            jitter=self._pick("check_jitter", 0, block),
        )

    def _target(self, block: Any = None) -> ConnectTarget:
        address, port = self._server
        return ConnectTarget(
            address=self._own("connect_ip", address, block),
            port=self._own("connect_port", port, block),
            bind_address=self._own("bindto", "", block),
            bind_port=self._own("bind_port", 0, block),
            bind_interface=self._own("bind_if", "", block),
            fwmark=self._own("fwmark", 0, block),
            timeout=self._pick("connect_timeout", 5_000_000, block) * MICROSECOND,
        )

    # -- the checkers --------------------------------------------------------------------------------------------------

    def tcp(self) -> Iterator[AnyCheckerSettings]:
        yield TcpCheckSettings(timing=self._timing(), target=self._target())

    def ping(self) -> Iterator[AnyCheckerSettings]:
        yield PingCheckSettings(timing=self._timing(), target=self._target())

    def smtp(self) -> Iterator[AnyCheckerSettings]:
        """One for each host: the real server is up when all of them are."""
        name = or_default(self._block.helo_name, "smtpchecker.keepalived.org")
        for block in or_default(self._block.host, ()) or (None,):
            yield SmtpCheckSettings(timing=self._timing(block), target=self._target(block), helo_name=name)

    def dns(self) -> Iterator[AnyCheckerSettings]:
        block = self._block
        yield DnsCheckSettings(
            timing=self._timing(),
            target=self._target(),
            type=or_default(block.type, "SOA"),
            name=or_default(block.name, "."),
        )

    def udp(self) -> Iterator[AnyCheckerSettings]:
        block = self._block
        required = or_default(block.require_reply, False)
        pattern, mask = reply_pattern(required) if isinstance(required, str) else (b"", b"")
        yield UdpCheckSettings(
            timing=self._timing(),
            target=self._target(),
            payload=reply_pattern(or_default(block.payload, ""))[0],
            require_reply=required is not False,
            pattern=pattern,
            mask=mask,
            min_reply_length=or_default(block.min_reply_length, 0),
            max_reply_length=or_default(block.max_reply_length, 65535),
        )

    def misc(self) -> Iterator[AnyCheckerSettings]:
        """A command line that cannot be taken apart is an error; who runs it, and what file it is, is seen later."""
        block, timing = self._block, self._timing()
        words = command_words(self._sheet, (*self._path, "misc_path"), or_default(block.misc_path, ""))
        if not words:
            return
        user = block.user
        yield MiscCheckSettings(
            timing=timing,
            command=Command(
                words,
                "" if user is UNSET else or_default(user.user, ""),
                "" if user is UNSET else or_default(user.group, ""),
            ),
            timeout=or_default(block.misc_timeout, 0) * MICROSECOND or timing.delay_loop,
            dynamic=or_default(block.misc_dynamic, False),
            place=self._path,
        )

    def file(self) -> Iterator[AnyCheckerSettings]:
        name = or_default(self._block.track_file, "")
        tracked = self._resolver.tracked_file(name)
        if tracked is None:
            return  # an error that has been reported
        weight, reverse = 1, False
        for said in (tracked.weight, self._block.weight):
            if said is not UNSET:
                weight = or_default(said.weight, weight)
                reverse = or_default(said.reverse, reverse) and not or_default(getattr(said, "noreverse", UNSET), False)
        yield FileCheckSettings(timing=CheckTiming(), file=file_settings(name, tracked), weight=weight, reverse=reverse)

    def bfd(self) -> Iterator[AnyCheckerSettings]:
        alpha = bool(self._pick("alpha", False))
        timing = self._resolver.timing((self._keyword, alpha), partial(CheckTiming, alpha=alpha))
        yield BfdCheckSettings(timing=timing, name=or_default(self._block.name, ""))

    def http(self) -> Iterator[AnyCheckerSettings]:
        block, target = self._block, self._target()
        urls = tuple(self._url(index, url, target) for index, url in enumerate(or_default(block.url, ())))
        if not urls:
            self._sheet.error(self._path, "no-url", f"{self._keyword} has no url to ask for", "say url")
            return
        yield HttpCheckSettings(
            timing=self._timing(),
            target=target,
            urls=urls,
            version=HttpVersion(or_default(block.http_protocol, "1.0")),
            fast_recovery=or_default(block.fast_recovery, False),
            tls=self._resolver.tls(block) if self._keyword == "SSL_GET" else None,
        )

    def _url(self, index: int, url: Any, target: ConnectTarget) -> UrlSettings:
        real, virtual = self._owners
        said = [url.virtualhost, self._block.virtualhost, real.virtualhost, virtual.virtualhost]
        host = next((name for name in said if name is not UNSET), "")
        name = ""
        if self._keyword == "SSL_GET" and or_default(self._block.enable_sni, False):
            # as keepalived: the real server's own name is no name for this
            name = next((name for name in (said[0], said[1], said[3]) if name is not UNSET), "")
        codes = or_default(url.status_code, ()) or ("200-299",)
        compliant = getattr(url, "tls_compliant", UNSET)
        return UrlSettings(
            path=or_default(url.path, ""),
            host=host_header(target.address, target.port, host),
            server_name=name,
            status_codes=tuple(_codes(text) for text in codes),
            digest=or_default(url.digest, "").lower(),
            regex=self._regex(index, url),
            tls_compliant=or_default(compliant, or_default(getattr(self._block, "tls_compliant", UNSET), False)),
        )

    def _regex(self, index: int, url: Any) -> RegexSettings | None:
        path: Path = (*self._path, "url", index)
        if url.regex_stack is not UNSET:
            text = "regex_stack is not needed: a match that does not fit PCRE2's own stack is made without it"
            self._sheet.note((*path, "regex_stack"), "regex-stack", text)
        if url.regex is UNSET:
            for keyword in ("regex_no_match", "regex_options", "regex_min_offset", "regex_max_offset"):
                if getattr(url, keyword) is not UNSET:
                    text = f"{keyword} says how regex matches, and there is none: ignored"
                    self._sheet.warning((*path, keyword), "no-regex", text)
            return None
        settings = RegexSettings(
            pattern=url.regex,
            options=or_default(url.regex_options, ()),
            no_match=or_default(url.regex_no_match, False),
            min_offset=or_default(url.regex_min_offset, 0),
            max_offset=or_default(url.regex_max_offset, None),
        )
        from kactl_agent.checkers.regex import BodyPattern, PatternFault

        try:
            BodyPattern(settings.pattern, settings.options)
        except PatternFault as fault:
            self._sheet.error(
                (*path, "regex"), "bad-regex", f"the pattern cannot be compiled: {fault}", "see pcre2pattern(3)"
            )
        return settings


_CHECKERS: dict[str, Callable[[_Checker], Iterator[AnyCheckerSettings]]] = {
    "TCP_CHECK": _Checker.tcp,
    "HTTP_GET": _Checker.http,
    "SSL_GET": _Checker.http,
    "SMTP_CHECK": _Checker.smtp,
    "DNS_CHECK": _Checker.dns,
    "UDP_CHECK": _Checker.udp,
    "PING_CHECK": _Checker.ping,
    "MISC_CHECK": _Checker.misc,
    "FILE_CHECK": _Checker.file,
    "BFD_CHECK": _Checker.bfd,
}
"""By keyword: what makes settings of a block."""
_BLOCKS = attrgetter(*(keyword.lower() for keyword in _CHECKERS))  # of a real server


def _codes(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def reply_pattern(text: str) -> tuple[bytes, bytes]:
    """Bytes and the bits of them that count: `hex:` and digits, with `x` for any; or the text itself."""
    if not text.startswith("hex:"):
        return text.encode(), b"\xff" * len(text.encode())
    digits = text.removeprefix("hex:").lower()
    mask = "".join("0" if digit == "x" else "f" for digit in digits)
    return bytes.fromhex(digits.replace("x", "0")), bytes.fromhex(mask)
