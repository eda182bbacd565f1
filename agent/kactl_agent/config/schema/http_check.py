"""HTTP_GET and SSL_GET, the checkers that ask a web server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

from msgspec import UNSET

from kactl_agent.config.schema.checkers import MAX_UNSIGNED, RETRY, Connection, StatusCodes
from kactl_agent.config.schema.keyword import BOOL, FLAG, BlockKeywords, Keyword, Keywords, Legacy
from kactl_agent.config.schema.shapes import Block, Choice, Command, Integer, Line, Maybe, Text, WordList

REGEX_OPTIONS = (
    "allow_empty_class",
    "alt_bsux",
    "auto_callout",
    "caseless",
    "dollar_endonly",
    "dotall",
    "dupnames",
    "extended",
    "firstline",
    "match_unset_backref",
    "multiline",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "ucp",
    "ungreedy",
    "utf",
    "never_backslash_c",
    "alt_circumflex",
    "alt_verbnames",
    "use_offset_limit",
)
"""Names of PCRE2 compile options (pcre2api(3)), without their prefix."""


class RegexStack(Keywords, frozen=True, kw_only=True):
    """`START MAXIMUM` of the JIT stack of a regular expression."""

    start: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, MAX_UNSIGNED, unit="bytes"),
            "Size to begin with, in bytes",
            position=0,
            required=True,
            process="checker",
        ),
    ] = UNSET
    maximum: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, MAX_UNSIGNED, unit="bytes"),
            "Size it may grow to, in bytes",
            position=1,
            required=True,
            process="checker",
        ),
    ] = UNSET


class HttpUrl(BlockKeywords, frozen=True, kw_only=True):
    """url: one request, and what the response must be like."""

    path: Annotated[
        Maybe[str],
        Keyword(
            Text("path"),
            "What is asked for: path and query, such as `/health?full=1`",
            required=True,
            process="checker",
        ),
    ] = UNSET
    status_code: Annotated[
        Maybe[tuple[str, ...]],
        Keyword(
            WordList(StatusCodes(), drops_word=True),
            "Status codes and ranges of them that are success; said again, it adds to them",
            default="200-299",
            process="checker",
        ),
    ] = UNSET
    digest: Annotated[
        Maybe[str],
        Keyword(
            Text("32 hexadecimal digits", pattern="[0-9a-fA-F]{32}"),
            "MD5 of the body, as `kactl genhash` computes it",
            default="none: any body",
            again="ignored",
            process="checker",
        ),
    ] = UNSET
    virtualhost: Annotated[
        Maybe[str],
        Keyword(
            Text("host"),
            "Host header of this request, and the name sent in the TLS handshake (enable_sni)",
            default="the checker's",
            process="checker",
        ),
    ] = UNSET
    regex: Annotated[
        Maybe[str],
        Keyword(
            Command(what="pattern"),
            "PCRE2 pattern that must match somewhere in the body",
            default="none",
            process="checker",
        ),
    ] = UNSET
    regex_no_match: Annotated[
        Maybe[bool],
        Keyword(FLAG, "Fail when the pattern matches rather than when it does not", default="off", process="checker"),
    ] = UNSET
    regex_options: Annotated[
        Maybe[tuple[str, ...]],
        Keyword(
            WordList(Choice(REGEX_OPTIONS)),
            "How the pattern is compiled: PCRE2 options by name (pcre2api(3))",
            default="none",
            process="checker",
        ),
    ] = UNSET
    regex_stack: Annotated[
        Maybe[RegexStack],
        Keyword(
            Line(RegexStack),
            "Stack for complicated patterns: its first and its largest size in bytes",
            default="PCRE2's own, 32 KiB",
            process="checker",
        ),
    ] = UNSET
    regex_min_offset: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**64 - 1, unit="bytes"),
            "Where in the body the search begins, in bytes: saves time on large pages",
            default="0",
            process="checker",
        ),
    ] = UNSET
    regex_max_offset: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**64 - 1, unit="bytes"),
            "Where in the body a match may begin at the latest, in bytes",
            default="anywhere",
            process="checker",
        ),
    ] = UNSET


class SslUrl(HttpUrl, frozen=True, kw_only=True):
    """url of an SSL_GET."""

    tls_compliant: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "End the TLS connection with an exchange of close_notify (RFC 8446 section 6.1) rather than by just closing",
            default="the checker's",
            since="2.2.8",
            process="checker",
        ),
    ] = UNSET


class HttpGet(Connection, frozen=True, kw_only=True):
    """HTTP_GET: succeeds when every url answers as it must."""

    legacy: ClassVar[Mapping[str, Legacy]] = {
        "path": Legacy("What is asked for; it belongs into a url block", "url"),
        "status_code": Legacy("Status codes that are success; they belong into a url block", "url"),
        "digest": Legacy("MD5 of the body; it belongs into a url block", "url"),
    }

    retry: Annotated[
        Maybe[int],
        replace(
            RETRY,
            default="the real server's, then the virtual server's; 1",
            deprecated=("nb_get_retry",),
        ),
    ] = UNSET
    http_protocol: Annotated[
        Maybe[str],
        Keyword(
            Choice(("1.0", "1.0C", "1.1"), aliases={"1.0c": "1.0C"}),
            "HTTP version of the request; 1.0C is 1.0 with `Connection: close`",
            default="1.0",
            process="checker",
        ),
    ] = UNSET
    virtualhost: Annotated[
        Maybe[str],
        Keyword(
            Text("host"),
            "Host header of the requests",
            default="the real server's, then the virtual server's, then address and port",
            process="checker",
        ),
    ] = UNSET
    enable_sni: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Send the host name in the TLS handshake (server name indication); without effect in HTTP_GET",
            default="off",
            process="checker",
        ),
    ] = UNSET
    fast_recovery: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "When the server is coming up, ask for all urls one after the other, without delay_loop between them",
            default="off",
            process="checker",
        ),
    ] = UNSET
    url: Annotated[
        Maybe[tuple[HttpUrl, ...]],
        Keyword(
            Block(HttpUrl, many=True),
            "A request; the check succeeds when all of them do",
            required=True,
            process="checker",
        ),
    ] = UNSET


class SslGet(HttpGet, frozen=True, kw_only=True):
    """SSL_GET: HTTP_GET over TLS. The server's certificate is not verified, unless tls_verify says so."""

    tls_compliant: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "End TLS connections with an exchange of close_notify (RFC 8446 section 6.1) rather than by just closing",
            default="off",
            since="2.2.8",
            process="checker",
        ),
    ] = UNSET
    tls_verify: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Fail unless the server shows a certificate that is valid now, issued by a CA of the SSL block (without one, of "
            "the system), for the name sent with enable_sni, else for the address",
            default="off",
            extension=True,
            process="checker",
        ),
    ] = UNSET
    tls_expiry_warning: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 3650, unit="days"),
            "Warn when the server's certificate is valid for fewer days than this; the check succeeds nevertheless",
            default="no warning",
            extension=True,
            process="checker",
        ),
    ] = UNSET
    url: Annotated[
        Maybe[tuple[SslUrl, ...]],
        Keyword(
            Block(SslUrl, many=True),
            "A request; the check succeeds when all of them do",
            required=True,
            process="checker",
        ),
    ] = UNSET
