"""What the checkers need to know of the configuration: resolved, defaulted, integers only.

`config/checkers.py` makes these from what the user wrote. Times are nanoseconds, addresses are text as
`ipaddress` writes it. Tens of thousands of them are sent from process to process: they are arrays, not objects with
names.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from kactl_agent.tracking.settings import Command, Executable, FileSettings
from kactl_agent.vrrp.settings import SECOND

BOOTSTRAP_DELAY = SECOND
"""The first check comes no sooner after the start (keepalived)."""


class HttpVersion(Enum):
    """http_protocol: 1.0C is 1.0 with `Connection: close`."""

    HTTP_1_0 = "1.0"
    HTTP_1_0_CLOSE = "1.0C"
    HTTP_1_1 = "1.1"


class CheckTiming(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """When a check runs, and how many failures count."""

    delay_loop: int = 60 * SECOND  # from the end of a check to the next one
    warmup: int = 0  # the first check comes after a random part of it, behind BOOTSTRAP_DELAY
    retry: int = 1  # failures in a row that are tried again, before the next counts
    delay_before_retry: int = SECOND
    delay_while_down: int = 60 * SECOND  # from the end of a failed check to the next, while the verdict is down
    alpha: bool = False  # down until it has succeeded once
    log_all_failures: bool = False
    jitter: int = 0  # percent of a delay that a random part of is taken off it (extension check_jitter)


class ConnectTarget(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Where a check goes to, and from where. Empty and 0: the kernel chooses."""

    address: str
    port: int = 0
    bind_address: str = ""
    bind_port: int = 0
    bind_interface: str = ""
    fwmark: int = 0
    timeout: int = 5 * SECOND  # to connect, and again to be answered


class CheckerSettings(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, tag_field="checker"):
    """What every checker has."""

    timing: CheckTiming


class TcpCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="TCP_CHECK"):
    """TCP_CHECK."""

    target: ConnectTarget


class PingCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="PING_CHECK"):
    """PING_CHECK; ports have no meaning."""

    target: ConnectTarget


class RegexSettings(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """regex of a url, a PCRE2 pattern."""

    pattern: str
    options: tuple[str, ...] = ()  # names of regex_options
    no_match: bool = False  # success is that it does not match
    min_offset: int = 0
    max_offset: int | None = None  # where a match may begin at the latest


class UrlSettings(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """url: one request, and what the response must be like."""

    path: str
    host: str  # whole value of the Host header
    server_name: str = ""  # SNI, empty: none is sent
    status_codes: tuple[tuple[int, int], ...] = ((200, 299),)  # ranges with both ends
    digest: str = ""  # 32 hexadecimal digits in lower case, empty: any body
    regex: RegexSettings | None = None
    tls_compliant: bool = False  # close_notify in both directions at the end


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """SSL block and what an SSL_GET says about certificates."""

    certificate: str = ""  # files, PEM
    key: str = ""
    password: str = ""
    ca: str = ""
    verify: bool = False  # extension tls_verify
    expiry_warning: int = (
        0  # ns of validity left below which there is a warning, 0: none (extension tls_expiry_warning)
    )

    def __repr__(self) -> str:
        hidden = "..." if self.password else ""
        return f"TlsSettings(certificate={self.certificate!r}, key={self.key!r}, password={hidden!r}, ca={self.ca!r})"


class HttpCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="HTTP_GET"):
    """HTTP_GET, and with `tls` SSL_GET."""

    target: ConnectTarget
    urls: tuple[UrlSettings, ...]
    version: HttpVersion = HttpVersion.HTTP_1_0
    fast_recovery: bool = False
    tls: TlsSettings | None = None


class SmtpCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="SMTP_CHECK"):
    """SMTP_CHECK; one for each host block."""

    target: ConnectTarget
    helo_name: str = "smtpchecker.keepalived.org"


class DnsCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="DNS_CHECK"):
    """DNS_CHECK."""

    target: ConnectTarget
    type: str = "SOA"
    name: str = "."


class UdpCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="UDP_CHECK"):
    """UDP_CHECK. A reply must begin with `pattern` in the bits of `mask`, which is as long."""

    target: ConnectTarget
    payload: bytes = b""
    require_reply: bool = False
    pattern: bytes = b""
    mask: bytes = b""
    min_reply_length: int = 0
    max_reply_length: int = 65535


class MiscCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="MISC_CHECK"):
    """MISC_CHECK. `executable` is what the command is on this machine; loading fills it in."""

    command: Command
    timeout: int  # then the run is ended and has failed
    dynamic: bool = False  # exit status 2..255 is success and sets the weight to it less 2
    executable: Executable | None = None
    place: tuple[str | int, ...] = ()  # of the block in the configuration, until loading has filled in the above


class FileCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="FILE_CHECK"):
    """FILE_CHECK: the value in the file times `weight` is added to the weight of the real server; with weight 0, any
    value but 0 takes it down."""

    file: FileSettings
    weight: int = 1
    reverse: bool = False


class BfdCheckSettings(CheckerSettings, frozen=True, kw_only=True, array_like=True, tag="BFD_CHECK"):
    """BFD_CHECK: up while the session is."""

    name: str  # of the bfd_instance


AnyCheckerSettings = (
    TcpCheckSettings
    | PingCheckSettings
    | HttpCheckSettings
    | SmtpCheckSettings
    | DnsCheckSettings
    | UdpCheckSettings
    | MiscCheckSettings
    | FileCheckSettings
    | BfdCheckSettings
)


def keyword_of(settings: AnyCheckerSettings) -> str:
    """The keyword of the configuration that makes this checker."""
    if isinstance(settings, HttpCheckSettings) and settings.tls is not None:
        return "SSL_GET"
    return str(type(settings).__struct_config__.tag)
