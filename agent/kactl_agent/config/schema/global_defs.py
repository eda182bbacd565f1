"""global_defs: settings of the agent as a whole, and defaults for instances and servers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BOOL, FLAG, BlockKeywords, Keyword, Keywords, Legacy
from kactl_agent.config.schema.network import InterfaceName, IpAddress, Port
from kactl_agent.config.schema.script import Script, UserGroup
from kactl_agent.config.schema.shapes import (
    Choice,
    Duration,
    Entries,
    Integer,
    Json,
    Line,
    Maybe,
    Optional,
    Scalar,
    SecretSource,
    Text,
    ValueFault,
    WholeSeconds,
    WordList,
)

PROCESS_NAME = Text("name", cut=15)
INCLUDE_CHECK = Choice(
    tuple(f"{sign}{word}" for sign in ("", "+", "-") for word in ("read", "match", "wildcard_match", "brace_match"))
)


@dataclass(frozen=True)
class Umask(Scalar[str]):
    """A file mode mask: a number in C notation, or permission names (IRUSR ... IXOTH, IRWXU, IRWXG, IRWXO) joined by `|`."""

    _NAMES = frozenset(f"I{mode}{who}" for mode in "RWX" for who in ("USR", "GRP", "OTH")) | {"IRWXU", "IRWXG", "IRWXO"}

    def parse(self, text: str) -> str:
        if text[:1].isdigit():
            number = re.fullmatch(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*", text)
            if number is None or (int(text, 8) if re.fullmatch(r"0[0-7]+", text) else int(text, 0)) > 0o777:
                raise ValueFault(f"`{text}` is not a file mode mask", "0..0777; octal numbers begin with 0")
            return text
        wrong = [name for name in text.split("|") if name not in self._NAMES]
        if wrong:
            raise ValueFault(
                f"`{wrong[0]}` is not a permission", "names such as IRUSR, IWGRP, IXOTH, IRWXU, joined by |"
            )
        return text

    def read(self, words: Sequence[str], at: int) -> tuple[str, int]:
        """Permissions may stand apart: `IWGRP | IWOTH`."""
        if at < len(words) and not words[at][:1].isdigit():
            return super().read([*words[:at], "".join(words[at:])], at)[0], len(words)
        return super().read(words, at)

    def describe(self) -> str:
        return "<octal number>|<permission>[|<permission>...]"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"type": ["string", "integer"]}


@dataclass(frozen=True)
class Raised(Integer):
    """A number whose limit keepalived raises by one only: one below it is taken for it, anything else is ignored."""

    def parse(self, text: str) -> int:
        try:
            return super().parse(text)
        except ValueFault as fault:
            if self.minimum is not None and re.fullmatch("0*[0-9]", text) and int(text) == self.minimum - 1:
                fault.taken = self.minimum
            raise


@dataclass(frozen=True)
class BufferPolicy(Scalar[str]):
    """`MTU`, `ADVERT`, or a size in bytes."""

    def parse(self, text: str) -> str:
        if text.upper() in ("MTU", "ADVERT"):
            return text.upper()
        if not re.fullmatch(r"[0-9]+", text) or not 1 <= int(text) < 2**32:
            raise ValueFault(f"`{text}` is no size of a buffer", f"expected {self.describe()}")
        return str(int(text))

    def to_yaml(self, value: str) -> str | int | bool:
        return int(value) if value.isdigit() else value

    def describe(self) -> str:
        return "MTU|ADVERT|<bytes>"

    def json_schema(self, refs: Mapping[type, str]) -> Json:
        return {"anyOf": [{"enum": ["MTU", "ADVERT"]}, {"type": "integer", "minimum": 1, "maximum": 2**32 - 1}]}


class SmtpServer(Keywords, frozen=True, kw_only=True):
    """`HOST [PORT]`: a mail relay."""

    host: Annotated[Maybe[str], Keyword(Text("host"), "Address or name of the relay", position=0, required=True)] = (
        UNSET
    )
    port: Annotated[Maybe[int], Keyword(Port(), "Its TCP port", default="25", position=1)] = UNSET


class Fifo(Keywords, frozen=True, kw_only=True):
    """`PATH [USER [GROUP]]`: a named pipe and who owns it."""

    path: Annotated[Maybe[str], Keyword(Text("path"), "Path of the pipe", position=0, required=True)] = UNSET
    user: Annotated[Maybe[str], Keyword(Text("user"), "User that owns the pipe", default="script_user", position=1)] = (
        UNSET
    )
    group: Annotated[
        Maybe[str], Keyword(Text("group"), "Group that owns the pipe", default="the owner's group", position=2)
    ] = UNSET


class GarpExtraInterfaces(Keywords, frozen=True, kw_only=True):
    """`[all] SECONDS`: gratuitous ARPs on further interfaces."""

    all_: Annotated[
        Maybe[bool],
        Keyword(
            FLAG, "On every interface of addresses", default="VMACs only", name="all", leading=True, process="vrrp"
        ),
    ] = UNSET
    interval: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(minimum=1_000_000, maximum=86_400_000_000),
            "Time from one to the next",
            position=0,
            required=True,
            process="vrrp",
        ),
    ] = UNSET


_CHAIN = Text("chain")
_SET = Text("set")


class IptablesChains(Keywords, frozen=True, kw_only=True):
    """`[IN [OUT]]`: chains of iptables and ip6tables."""

    inchain: Annotated[
        Maybe[str], Keyword(_CHAIN, "Chain for incoming packets", position=0, required=True, process="vrrp")
    ] = UNSET
    outchain: Annotated[
        Maybe[str], Keyword(_CHAIN, "Chain for outgoing packets", default="none", position=1, process="vrrp")
    ] = UNSET


class IpsetNames(Keywords, frozen=True, kw_only=True):
    """Names of ipsets; what is left out is made from the names before it."""

    ipv4: Annotated[
        Maybe[str], Keyword(_SET, "IPv4 addresses", default="keepalived", position=0, required=True, process="vrrp")
    ] = UNSET
    ipv6: Annotated[
        Maybe[str], Keyword(_SET, "IPv6 addresses", default="the first with 6", position=1, process="vrrp")
    ] = UNSET
    ipv6_interface: Annotated[
        Maybe[str],
        Keyword(
            _SET, "Link-local IPv6 addresses with interface", default="the first with _if6", position=2, process="vrrp"
        ),
    ] = UNSET
    igmp: Annotated[
        Maybe[str], Keyword(_SET, "Interfaces without IGMP", default="the first with _igmp", position=3, process="vrrp")
    ] = UNSET
    mld: Annotated[
        Maybe[str], Keyword(_SET, "Interfaces without MLD", default="the first with _mld", position=4, process="vrrp")
    ] = UNSET
    nd: Annotated[
        Maybe[str],
        Keyword(
            _SET,
            "Interfaces without neighbour discovery",
            default="the first with _nd",
            position=5,
            since="2.3.0",
            process="vrrp",
        ),
    ] = UNSET


class LvsSyncDaemon(Keywords, frozen=True, kw_only=True):
    """`INTERFACE [[inst] INSTANCE] [id ID] ...`: the connection synchronisation of IPVS."""

    interface: Annotated[
        Maybe[str],
        Keyword(InterfaceName(), "Interface it sends and receives on", position=0, required=True, process="checker"),
    ] = UNSET
    inst: Annotated[
        Maybe[str],
        Keyword(
            Text("vrrp_instance"),
            "VRRP instance whose state decides: MASTER sends, others receive",
            default="none: sends and receives all the time",
            position=1,
            named=True,
            process="checker",
        ),
    ] = UNSET
    id_: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 255),
            "Only directors with the same number understand each other",
            default="the instance's virtual_router_id, or 0",
            name="id",
            position=2,
            named=True,
            process="checker",
        ),
    ] = UNSET
    maxlen: Annotated[
        Maybe[int],
        Keyword(Integer(1, 65507, unit="bytes"), "Longest message", default="as the MTU allows", process="checker"),
    ] = UNSET
    port: Annotated[Maybe[int], Keyword(Port(), "UDP port of the messages", default="8848", process="checker")] = UNSET
    ttl: Annotated[Maybe[int], Keyword(Integer(1, 255), "TTL of the messages", default="1", process="checker")] = UNSET
    group: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(multicast=True), "Multicast address the messages go to", default="224.0.0.81", process="checker"
        ),
    ] = UNSET


_IDLE = WholeSeconds(maximum=2_678_400_000_000)


class LvsTimeouts(Keywords, frozen=True, kw_only=True):
    """`[tcp S] [tcpfin S] [udp S]`: idle times of IPVS connections; one at least."""

    tcp: Annotated[Maybe[int], Keyword(_IDLE, "TCP connections", default="the kernel's", process="checker")] = UNSET
    tcpfin: Annotated[
        Maybe[int], Keyword(_IDLE, "TCP connections that were closed", default="the kernel's", process="checker")
    ] = UNSET
    udp: Annotated[Maybe[int], Keyword(_IDLE, "UDP exchanges", default="the kernel's", process="checker")] = UNSET


class GlobalDefs(BlockKeywords, frozen=True, kw_only=True):
    """global_defs: it may stand several times, each adding to the others."""

    legacy: ClassVar[Mapping[str, Legacy]] = {
        "lvs_id": Legacy("The name of this machine in versions before 1.1.12", "router_id"),
        "lvs_sync_daemon_interface": Legacy(
            "Interface of the IPVS sync daemon; keepalived takes this spelling in vrrp_instance only", "lvs_sync_daemon"
        ),
        **dict.fromkeys(
            (
                "child_wait_time",
                "instance",
                "linkbeat_use_polling",
                "namespace_with_ipsets",
                "net_namespace",
                "net_namespace_ipvs",
                "use_pid_dir",
            ),
            Legacy("This stands outside of any block", "the same word outside of global_defs"),
        ),
    }

    router_id: Annotated[
        Maybe[str], Keyword(Text("name"), "Name of this machine in mails, SNMP and logs", default="the host name")
    ] = UNSET
    notification_email: Annotated[
        Maybe[tuple[str, ...]],
        Keyword(
            Entries(Text("email address"), many_per_line=True),
            "Addresses that mails about state changes go to; an empty list turns mail off",
            default="none: no mail",
        ),
    ] = UNSET
    notification_email_from: Annotated[
        Maybe[str], Keyword(Text("email address"), "Address that mails come from", default="the user at the host name")
    ] = UNSET
    smtp_server: Annotated[
        Maybe[SmtpServer],
        Keyword(Line(SmtpServer), "Mail relay; its name is looked up when the configuration is loaded", default="none"),
    ] = UNSET
    smtp_helo_name: Annotated[Maybe[str], Keyword(Text("name"), "Name to say in HELO", default="the host name")] = UNSET
    smtp_tls: Annotated[
        Maybe[str],
        Keyword(
            Choice(("none", "starttls", "implicit")),
            "How the connection to the relay is protected: STARTTLS (RFC 3207), without which no mail is sent then, or TLS "
            "from the start (RFC 8314). The relay has to show a certificate that is valid",
            default="none",
            extension=True,
        ),
    ] = UNSET
    smtp_tls_ca_file: Annotated[
        Maybe[str],
        Keyword(
            Text("file"),
            "CA certificates (PEM) that the certificate of the relay must come from",
            default="those of the system",
            extension=True,
        ),
    ] = UNSET
    smtp_tls_server_name: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "Name that the certificate of the relay must be for",
            default="the host of smtp_server",
            extension=True,
        ),
    ] = UNSET
    smtp_user: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "Name to authenticate with at the relay (AUTH PLAIN, RFC 4954); needs smtp_tls",
            default="none: no authentication",
            extension=True,
        ),
    ] = UNSET
    smtp_password: Annotated[
        Maybe[str | SecretSource],
        Keyword(Text("password", secret=True), "Password of smtp_user", default="none", extension=True),
    ] = UNSET
    smtp_connect_timeout: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(minimum=1_000_000, maximum=4_294_000_000, low=1_000_000),
            "Longest time to wait for a connection to the relay, and for each of its answers",
            default="30",
        ),
    ] = UNSET
    smtp_alert: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Send mail about all instances, groups, virtual and real servers that do not say otherwise",
            default="as each kind says",
        ),
    ] = UNSET
    smtp_alert_vrrp: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "The same for VRRP instances and groups; stronger than smtp_alert",
            default="smtp_alert",
            process="vrrp",
        ),
    ] = UNSET
    smtp_alert_checker: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "The same for virtual and real servers; stronger than smtp_alert",
            default="smtp_alert",
            process="checker",
        ),
    ] = UNSET
    no_email_faults: Annotated[
        Maybe[bool], Keyword(FLAG, "No mail about FAULT states", default="off", process="vrrp")
    ] = UNSET
    no_checker_emails: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "No mail about single checkers that change; mail only when a real server is added or removed",
            default="off",
            process="checker",
        ),
    ] = UNSET
    checker_log_all_failures: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Log each check that fails, not only the one that takes a real server down",
            default="off",
            process="checker",
        ),
    ] = UNSET
    rs_init_notifies: Annotated[
        Maybe[bool],
        Keyword(
            BOOL, "Run the notify scripts of real servers at start and reload too", default="off", process="checker"
        ),
    ] = UNSET
    script_user: Annotated[
        Maybe[UserGroup],
        Keyword(
            Line(UserGroup),
            "User, and group, that scripts run as when they name none",
            default="keepalived_script if that user exists, else the user of the agent",
        ),
    ] = UNSET
    enable_script_security: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Do not run a script as root when somebody else could change it or a directory on its path",
            default="off",
        ),
    ] = UNSET
    use_symlink_paths: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Run scripts by their path as written instead of the path that its symbolic links lead to",
            default="off",
            since="2.3.0",
        ),
    ] = UNSET
    startup_script: Annotated[
        Maybe[Script], Keyword(Line(Script), "Command to run once before anything else starts", default="none")
    ] = UNSET
    startup_script_timeout: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(minimum=1_000_000, maximum=1_000_000_000),
            "End the startup script after this long",
            default="10",
        ),
    ] = UNSET
    shutdown_script: Annotated[
        Maybe[Script], Keyword(Line(Script), "Command to run once after everything else has ended", default="none")
    ] = UNSET
    shutdown_script_timeout: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(minimum=1_000_000, maximum=1_000_000_000),
            "End the shutdown script after this long",
            default="10",
        ),
    ] = UNSET
    notify_fifo: Annotated[
        Maybe[Fifo],
        Keyword(
            Line(Fifo),
            "Named pipe that all events, of VRRP and checkers are written to, one line each; it is made when it does not exist",
            default="none",
        ),
    ] = UNSET
    notify_fifo_script: Annotated[
        Maybe[Script],
        Keyword(
            Line(Script),
            "Command that reads the notify_fifo; it gets the path of the pipe as its last argument",
            default="none",
        ),
    ] = UNSET
    vrrp_notify_fifo: Annotated[
        Maybe[Fifo],
        Keyword(
            Line(Fifo),
            "Named pipe that VRRP events are written to, one line each; it is made when it does not exist",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_notify_fifo_script: Annotated[
        Maybe[Script],
        Keyword(
            Line(Script),
            "Command that reads the vrrp_notify_fifo; it gets the path of the pipe as its last argument",
            default="none",
            process="vrrp",
        ),
    ] = UNSET
    lvs_notify_fifo: Annotated[
        Maybe[Fifo],
        Keyword(
            Line(Fifo),
            "Named pipe that checker events are written to, one line each; it is made when it does not exist",
            default="none",
            process="checker",
        ),
    ] = UNSET
    lvs_notify_fifo_script: Annotated[
        Maybe[Script],
        Keyword(
            Line(Script),
            "Command that reads the lvs_notify_fifo; it gets the path of the pipe as its last argument",
            default="none",
            process="checker",
        ),
    ] = UNSET
    fifo_write_vrrp_states_on_reload: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Write the states of all instances and groups to the pipes after a reload too",
            default="off",
            since="2.2.7",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_version: Annotated[
        Maybe[int],
        Keyword(
            Integer(2, 3), "Version of VRRP for instances that do not say", default="2; 3 for IPv6", process="vrrp"
        ),
    ] = UNSET
    vrrp_mcast_group4: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(4, multicast=True), "Address that IPv4 adverts are sent to", default="224.0.0.18", process="vrrp"
        ),
    ] = UNSET
    vrrp_mcast_group6: Annotated[
        Maybe[str],
        Keyword(
            IpAddress(6, multicast=True), "Address that IPv6 adverts are sent to", default="ff02::12", process="vrrp"
        ),
    ] = UNSET
    vrrp_strict: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Refuse what the RFCs do not allow: no unicast, no authentication, no preempt delay, addresses required and so on",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_skip_check_adv_addr: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Default of skip_check_adv_addr: do not compare the addresses of an advert that comes from the master already known",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_check_unicast_src: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Default of check_unicast_src: take unicast adverts from configured peers only",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_owner_ignore_adverts: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Default of owner_ignore_adverts: an address owner (priority 255) drops the adverts of others",
            default="off",
            since="2.3.3",
            process="vrrp",
        ),
    ] = UNSET
    v3_checksum_as_v2: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Default of v3_checksum_as_v2: leave the pseudo-header out of the checksum of VRRPv3 over IPv4",
            default="off",
            since="2.2.8",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_down_timer_adverts: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 100),
            "Default of down_timer_adverts: adverts that may be missing before a backup takes over. The RFCs say 3",
            default="3",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_lower_prio_no_advert: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Default of lower_prio_no_advert: a master does not answer an advert of lower priority at once",
            default="off; on in strict mode",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_higher_prio_send_advert: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Default of higher_prio_send_advert: a master sends one more advert before it yields to a higher priority",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_startup_delay: Annotated[
        Maybe[int],
        Keyword(
            Duration(minimum=1_000, maximum=4_294_967_295),
            "Keep VRRP quiet for this long after the start",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_delay_after_boot: Annotated[
        Maybe[int],
        Keyword(
            Duration(minimum=1_000, maximum=4_294_967_295),
            "Keep VRRP quiet until this long after the machine was booted; with vrrp_startup_delay, what ends later counts",
            default="0",
            since="2.4.0",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_notify_priority_changes: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Default of notify_priority_changes: write changes of priority to the pipes",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_rfc_discards: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Default of rfc_discards: discard also what the RFCs want discarded and keepalived takes",
            default="off",
            extension=True,
            process="vrrp",
        ),
    ] = UNSET
    vrrp_accept_either_checksum: Annotated[
        Maybe[bool],
        Keyword(
            BOOL,
            "Default of accept_either_checksum: take both forms of the VRRPv3 checksum over IPv4",
            default="on",
            extension=True,
            process="vrrp",
        ),
    ] = UNSET
    vrrp_on_foreign_removal: Annotated[
        Maybe[str],
        Keyword(
            Choice(("resign", "restore", "ignore")),
            "Default of on_foreign_removal: what a master does when somebody else removes its address, route or rule",
            default="resign",
            extension=True,
            process="vrrp",
        ),
    ] = UNSET
    log_unknown_vrids: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Log adverts for virtual router IDs that no instance of the interface has",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_garp_master_delay: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(maximum=4_294_967_295_000_000),
            "Default of garp_master_delay: time from becoming MASTER to the second round of gratuitous ARPs; 0 for no second round",
            default="5",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_garp_master_repeat: Annotated[
        Maybe[int],
        Keyword(
            Raised(1, 2**32 - 1),
            "Default of garp_master_repeat: gratuitous ARPs in each of these rounds",
            default="5",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_garp_lower_prio_delay: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(maximum=4_294_967_295_000_000),
            "Default of garp_lower_prio_delay: time from an advert of lower priority to the second round",
            default="vrrp_garp_master_delay",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_garp_lower_prio_repeat: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1),
            "Default of garp_lower_prio_repeat: gratuitous ARPs in each of these rounds",
            default="vrrp_garp_master_repeat",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_garp_master_refresh: Annotated[
        Maybe[int],
        Keyword(
            WholeSeconds(maximum=4_294_967_295_000_000),
            "Default of garp_master_refresh: send gratuitous ARPs again and again at this interval while MASTER; 0 for never",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_garp_master_refresh_repeat: Annotated[
        Maybe[int],
        Keyword(
            Raised(1, 2**32 - 1),
            "Default of garp_master_refresh_repeat: gratuitous ARPs at each refresh",
            default="1",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_garp_interval: Annotated[
        Maybe[int],
        Keyword(
            Duration(minimum=1, maximum=4_294_967_295),
            "Shortest time between two gratuitous ARPs on one interface",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_gna_interval: Annotated[
        Maybe[int],
        Keyword(
            Duration(minimum=1, maximum=4_294_967_295),
            "Shortest time between two unsolicited neighbour advertisements on one interface",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_min_garp: Annotated[
        Maybe[bool],
        Keyword(
            BOOL, "Send one gratuitous ARP only: no repeats, no second round, no refresh", default="off", process="vrrp"
        ),
    ] = UNSET
    vrrp_garp_extra_if: Annotated[
        Maybe[GarpExtraInterfaces],
        Keyword(
            Line(GarpExtraInterfaces),
            "Send gratuitous ARPs again and again on interfaces of addresses that are not the instance's own, so that switches do not forget them",
            default="off",
            deprecated=("vrrp_vmac_garp_intvl",),
            process="vrrp",
        ),
    ] = UNSET
    default_interface: Annotated[
        Maybe[str],
        Keyword(
            InterfaceName(),
            "Interface of static addresses, and of instances that name none",
            default="eth0",
            process="vrrp",
        ),
    ] = UNSET
    dynamic_interfaces: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Choice(("allow_if_changes",))),
            "Accept interfaces that do not exist yet or that come and go; with `allow_if_changes` one may come back as another kind or on another parent",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    disable_local_igmp: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Switch IGMP reports for 224.0.0.0/24 off in the kernel (igmp_link_local_mcast_reports), instead of filtering them on VMACs",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vmac_prefix: Annotated[
        Maybe[str],
        Keyword(
            Text("prefix", maximum=15), "First part of generated VMAC interface names", default="vrrp", process="vrrp"
        ),
    ] = UNSET
    vmac_addr_prefix: Annotated[
        Maybe[str],
        Keyword(
            Text("prefix", maximum=15),
            "First part of the names of VMACs that addresses with use_vmac get",
            default="vmac_prefix",
            process="vrrp",
        ),
    ] = UNSET
    nftables: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Text("table")),
            "Filter with nftables, in a table of this name, for no_accept and VMACs; every agent of a network namespace needs a name of its own",
            default="keepalived",
            process="vrrp",
        ),
    ] = UNSET
    nftables_priority: Annotated[
        Maybe[int],
        Keyword(Integer(-(2**31), 2**31 - 1), "Priority of the nftables base chains", default="-1", process="vrrp"),
    ] = UNSET
    nftables_counters: Annotated[
        Maybe[bool], Keyword(FLAG, "Add counters to the rules that are made", default="off")
    ] = UNSET
    nftables_ifindex: Annotated[
        Maybe[bool],
        Keyword(
            FLAG, "Match interfaces by index, not by name, for link-local addresses", default="off", process="vrrp"
        ),
    ] = UNSET
    nftables_ipvs: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Text("table")),
            "Mark the traffic of a virtual_server_group with nftables, in a table of this name, so that IPVS needs one service a group",
            default="off; keepalived_ipvs when no name is given",
            process="checker",
        ),
    ] = UNSET
    nftables_ipvs_priority: Annotated[
        Maybe[int],
        Keyword(Integer(-(2**31), 2**31 - 1), "Priority of that table's chains", default="-1", process="checker"),
    ] = UNSET
    nftables_ipvs_start_fwmark: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 2**32 - 1),
            "First firewall mark to use for virtual server groups",
            default="1000",
            process="checker",
        ),
    ] = UNSET
    vrrp_iptables: Annotated[
        Maybe[bool | IptablesChains],
        Keyword(
            Optional(Line(IptablesChains)),
            "Filter with iptables, in these chains, which must exist; nftables is used instead where iptables is not",
            default="off; INPUT and OUTPUT when no chain is given",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_ipsets: Annotated[
        Maybe[bool | IpsetNames],
        Keyword(
            Optional(Line(IpsetNames), bare=False),
            "Names of the ipsets that go with vrrp_iptables; false (in keepalived.conf: without a name) is to use no ipsets",
            default="keepalived and names made from it",
            process="vrrp",
        ),
    ] = UNSET
    lvs_sync_daemon: Annotated[
        Maybe[LvsSyncDaemon],
        Keyword(
            Line(LvsSyncDaemon),
            "Synchronise IPVS connections with other directors",
            default="off",
            process="checker",
        ),
    ] = UNSET
    lvs_timeouts: Annotated[
        Maybe[LvsTimeouts],
        Keyword(
            Line(LvsTimeouts),
            "Idle times after which IPVS forgets connections",
            default="the kernel's",
            process="checker",
        ),
    ] = UNSET
    lvs_flush: Annotated[
        Maybe[bool], Keyword(FLAG, "Remove the whole IPVS configuration at the start", default="off", process="checker")
    ] = UNSET
    lvs_flush_on_stop: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Choice(("VS",))),
            "Remove the whole IPVS configuration at the stop; `VS`: only our services, in one step each",
            default="off: real servers and services one by one",
            deprecated=("lvs_flush_onstop",),
            process="checker",
        ),
    ] = UNSET
    vrrp_priority: Annotated[
        Maybe[int],
        Keyword(
            Integer(-20, 19),
            "Nice value of the VRRP process: lower is served first",
            default="unchanged",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_rt_priority: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 99, low=1, high=99),
            "Run the VRRP process with real-time scheduling (SCHED_RR) at this priority",
            default="off",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_rlimit_rttime: Annotated[
        Maybe[int],
        Keyword(
            Raised(2, 2**32 - 1, unit="microseconds"),
            "CPU time the VRRP process may use in real-time scheduling without a pause (RLIMIT_RTTIME), in microseconds",
            default="10000",
            deprecated=("vrrp_rlimit_rtime",),
            process="vrrp",
        ),
    ] = UNSET
    vrrp_no_swap: Annotated[
        Maybe[bool], Keyword(FLAG, "Keep the VRRP process in memory (mlockall)", default="off", process="vrrp")
    ] = UNSET
    vrrp_cpu_affinity: Annotated[
        Maybe[tuple[int, ...]],
        Keyword(
            WordList(Integer(0, 4095, unit="cpu")),
            "CPUs, by number, that the VRRP process may run on",
            default="all",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_process_name: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(PROCESS_NAME),
            "Name of the VRRP process in process lists; at most 15 characters",
            default="that of the parent",
            process="vrrp",
        ),
    ] = UNSET
    checker_priority: Annotated[
        Maybe[int],
        Keyword(
            Integer(-20, 19),
            "Nice value of the checker process: lower is served first",
            default="unchanged",
            process="checker",
        ),
    ] = UNSET
    checker_rt_priority: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 99, low=1, high=99),
            "Run the checker process with real-time scheduling (SCHED_RR) at this priority",
            default="off",
            process="checker",
        ),
    ] = UNSET
    checker_rlimit_rttime: Annotated[
        Maybe[int],
        Keyword(
            Raised(2, 2**32 - 1, unit="microseconds"),
            "CPU time the checker process may use in real-time scheduling without a pause (RLIMIT_RTTIME), in microseconds",
            default="10000",
            deprecated=("checker_rlimit_rtime",),
            process="checker",
        ),
    ] = UNSET
    checker_no_swap: Annotated[
        Maybe[bool], Keyword(FLAG, "Keep the checker process in memory (mlockall)", default="off", process="checker")
    ] = UNSET
    checker_cpu_affinity: Annotated[
        Maybe[tuple[int, ...]],
        Keyword(
            WordList(Integer(0, 4095, unit="cpu")),
            "CPUs, by number, that the checker process may run on",
            default="all",
            process="checker",
        ),
    ] = UNSET
    checker_process_name: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(PROCESS_NAME),
            "Name of the checker process in process lists; at most 15 characters",
            default="that of the parent",
            deprecated=("lvs_process_name",),
            process="checker",
        ),
    ] = UNSET
    bfd_priority: Annotated[
        Maybe[int],
        Keyword(
            Integer(-20, 19), "Nice value of the BFD process: lower is served first", default="unchanged", process="bfd"
        ),
    ] = UNSET
    bfd_rt_priority: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 99, low=1, high=99),
            "Run the BFD process with real-time scheduling (SCHED_RR) at this priority",
            default="off",
            process="bfd",
        ),
    ] = UNSET
    bfd_rlimit_rttime: Annotated[
        Maybe[int],
        Keyword(
            Raised(2, 2**32 - 1, unit="microseconds"),
            "CPU time the BFD process may use in real-time scheduling without a pause (RLIMIT_RTTIME), in microseconds",
            default="10000",
            deprecated=("bfd_rlimit_rtime",),
            process="bfd",
        ),
    ] = UNSET
    bfd_no_swap: Annotated[
        Maybe[bool], Keyword(FLAG, "Keep the BFD process in memory (mlockall)", default="off", process="bfd")
    ] = UNSET
    bfd_cpu_affinity: Annotated[
        Maybe[tuple[int, ...]],
        Keyword(
            WordList(Integer(0, 4095, unit="cpu")),
            "CPUs, by number, that the BFD process may run on",
            default="all",
            process="bfd",
        ),
    ] = UNSET
    bfd_process_name: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(PROCESS_NAME),
            "Name of the BFD process in process lists; at most 15 characters",
            default="that of the parent",
            process="bfd",
        ),
    ] = UNSET
    process_name: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(PROCESS_NAME),
            "Name of the parent process in process lists; at most 15 characters",
            default="kactl-agent",
        ),
    ] = UNSET
    process_names: Annotated[
        Maybe[bool], Keyword(FLAG, "Give each process a name of its own, by what it does", default="off")
    ] = UNSET
    max_auto_priority: Annotated[
        Maybe[bool | int],
        Keyword(
            Optional(Integer(-1, 99)),
            "Raise the scheduling priority of a process whose timers run late, up to this real-time priority; without a number up to 99, -1 never and without the warning at the start",
            default="0: never",
        ),
    ] = UNSET
    min_auto_priority_delay: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 10_000_000, unit="microseconds"),
            "Lateness of a timer that raises the priority, in microseconds",
            default="1000000",
        ),
    ] = UNSET
    vrrp_netlink_cmd_rcv_bufs: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1, unit="bytes"),
            "Receive buffer of VRRP's netlink command socket, in bytes",
            default="the kernel's",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_netlink_cmd_rcv_bufs_force: Annotated[
        Maybe[bool], Keyword(BOOL, "Let that buffer be larger than net.core.rmem_max", default="off", process="vrrp")
    ] = UNSET
    vrrp_netlink_monitor_rcv_bufs: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1, unit="bytes"),
            "Receive buffer of VRRP's netlink monitor socket, in bytes",
            default="the kernel's",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_netlink_monitor_rcv_bufs_force: Annotated[
        Maybe[bool], Keyword(BOOL, "Let that buffer be larger than net.core.rmem_max", default="off", process="vrrp")
    ] = UNSET
    lvs_netlink_cmd_rcv_bufs: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1, unit="bytes"),
            "Receive buffer of the checkers' netlink command socket, in bytes",
            default="the kernel's",
            process="checker",
        ),
    ] = UNSET
    lvs_netlink_cmd_rcv_bufs_force: Annotated[
        Maybe[bool], Keyword(BOOL, "Let that buffer be larger than net.core.rmem_max", default="off", process="checker")
    ] = UNSET
    lvs_netlink_monitor_rcv_bufs: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1, unit="bytes"),
            "Receive buffer of the checkers' netlink monitor socket, in bytes",
            default="the kernel's",
            process="checker",
        ),
    ] = UNSET
    lvs_netlink_monitor_rcv_bufs_force: Annotated[
        Maybe[bool], Keyword(BOOL, "Let that buffer be larger than net.core.rmem_max", default="off", process="checker")
    ] = UNSET
    process_monitor_rcv_bufs: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1, unit="bytes"),
            "Receive buffer of the socket of process events, in bytes",
            default="the kernel's",
            process="vrrp",
        ),
    ] = UNSET
    process_monitor_rcv_bufs_force: Annotated[
        Maybe[bool], Keyword(BOOL, "Let that buffer be larger than net.core.rmem_max", default="off", process="vrrp")
    ] = UNSET
    vrrp_rx_bufs_policy: Annotated[
        Maybe[str],
        Keyword(
            BufferPolicy(),
            "Receive buffer of a socket for adverts: a multiple of the interface's MTU, of the advert's size, or bytes",
            default="the system's",
            process="vrrp",
        ),
    ] = UNSET
    vrrp_rx_bufs_multiplier: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 2**32 - 1), "The factor for MTU and ADVERT in vrrp_rx_bufs_policy", default="3", process="vrrp"
        ),
    ] = UNSET
    snmp_socket: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Text("transport:address")),
            "Where the SNMP master agent listens (AgentX)",
            default="unix:/var/agentx/master",
        ),
    ] = UNSET
    enable_snmp_vrrp: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Serve the VRRP part of KEEPALIVED-MIB",
            default="off",
            deprecated=("enable_snmp_keepalived",),
            process="vrrp",
        ),
    ] = UNSET
    enable_snmp_checker: Annotated[
        Maybe[bool], Keyword(FLAG, "Serve the checker part of KEEPALIVED-MIB", default="off", process="checker")
    ] = UNSET
    enable_snmp_rfc: Annotated[
        Maybe[bool], Keyword(FLAG, "Serve VRRP-MIB (RFC 2787) and VRRPV3-MIB (RFC 6527)", default="off", process="vrrp")
    ] = UNSET
    enable_snmp_rfcv2: Annotated[
        Maybe[bool], Keyword(FLAG, "Serve VRRP-MIB (RFC 2787)", default="off", process="vrrp")
    ] = UNSET
    enable_snmp_rfcv3: Annotated[
        Maybe[bool], Keyword(FLAG, "Serve VRRPV3-MIB (RFC 6527)", default="off", process="vrrp")
    ] = UNSET
    enable_traps: Annotated[Maybe[bool], Keyword(FLAG, "Send SNMP traps", default="off")] = UNSET
    snmp_vs_stats_update_interval: Annotated[
        Maybe[int],
        Keyword(
            Duration(decimals=3, minimum=1_000, maximum=30_000_000),
            "Age at which statistics of virtual servers are read from the kernel again for SNMP",
            default="5",
            since="2.3.0",
            process="checker",
        ),
    ] = UNSET
    snmp_rs_stats_update_interval: Annotated[
        Maybe[int],
        Keyword(
            Duration(decimals=3, minimum=1_000, maximum=30_000_000),
            "The same for real servers",
            default="snmp_vs_stats_update_interval",
            since="2.3.0",
            process="checker",
        ),
    ] = UNSET
    enable_dbus: Annotated[Maybe[bool], Keyword(FLAG, "Serve the D-Bus interface", default="off", process="vrrp")] = (
        UNSET
    )
    dbus_service_name: Annotated[
        Maybe[str],
        Keyword(
            Text("name"), "Name on the bus; every agent needs its own", default="org.keepalived.Vrrp1", process="vrrp"
        ),
    ] = UNSET
    dbus_no_interface_name: Annotated[
        Maybe[str],
        Keyword(
            Text("name"),
            "What stands in the D-Bus path in place of the interface, for instances that have none",
            default="none",
            since="2.3.0",
            process="vrrp",
        ),
    ] = UNSET
    reload_check_config: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Text("path")),
            "Check a new configuration in full before it is loaded, with the messages in this file",
            default="off; /dev/null when no file is given",
        ),
    ] = UNSET
    reload_time_file: Annotated[
        Maybe[str],
        Keyword(
            Text("path"), "File that says when to reload: HH:MM:SS, or a date before it, and Z for UTC", default="none"
        ),
    ] = UNSET
    reload_repeat: Annotated[
        Maybe[bool],
        Keyword(
            FLAG, "Keep the reload_time_file, and reload every day when it says a time without a date", default="off"
        ),
    ] = UNSET
    reload_file: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Text("path")),
            "File that exists while a reload runs",
            default="off; keepalived.reload in the run directory when no file is given",
        ),
    ] = UNSET
    config_save_dir: Annotated[
        Maybe[str],
        Keyword(
            Text("path"),
            "Directory that the configuration and the state are saved to before and after each reload",
            default="none",
        ),
    ] = UNSET
    tmp_config_directory: Annotated[
        Maybe[str],
        Keyword(
            Text("path"),
            "Directory for the expanded configuration that all processes read, in place of memory",
            default="memory",
        ),
    ] = UNSET
    state_dump_file: Annotated[
        Maybe[str],
        Keyword(
            Text("path"),
            "File that the state is dumped to on SIGUSR1",
            default="keepalived.data in the run directory",
            since="2.3.3",
        ),
    ] = UNSET
    stats_dump_file: Annotated[
        Maybe[str],
        Keyword(
            Text("path"),
            "File that the statistics are dumped to on SIGUSR2; keepalived 2.4.3 takes the keyword without acting on it",
            default="keepalived.stats in the run directory",
            since="2.3.3",
            process="vrrp",
        ),
    ] = UNSET
    json_dump_file: Annotated[
        Maybe[str],
        Keyword(
            Text("path"),
            "File that the state is dumped to as JSON; keepalived 2.4.3 takes the keyword without acting on it",
            default="keepalived.json in the run directory",
            since="2.3.3",
            process="vrrp",
        ),
    ] = UNSET
    json_version: Annotated[
        Maybe[int],
        Keyword(
            Integer(1, 2),
            "Layout of the JSON dump: 2 has the track_process entries",
            default="1",
            since="2.2.8",
            process="vrrp",
        ),
    ] = UNSET
    data_use_instance: Annotated[
        Maybe[bool],
        Keyword(
            BOOL, "Put the instance's and the network namespace's names into the names of dump files", default="off"
        ),
    ] = UNSET
    iproute_usr_dir: Annotated[
        Maybe[str],
        Keyword(
            Text("path"),
            "Directory of the names that come with iproute2 (rt_tables and its like)",
            default="/usr/share/iproute2",
            since="2.3.2",
        ),
    ] = UNSET
    iproute_etc_dir: Annotated[
        Maybe[str],
        Keyword(
            Text("path"),
            "Directory of the names that this machine adds to them",
            default="/etc/iproute2",
            since="2.3.2",
        ),
    ] = UNSET
    umask: Annotated[
        Maybe[str],
        Keyword(
            Umask(),
            "Permissions that new files do not get: a number (octal with a leading 0), or names such as IRGRP joined by |",
            default="0177",
        ),
    ] = UNSET
    random_seed: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 2**32 - 1), "Seed of random choices, the same on every start, for tests", default="the time"
        ),
    ] = UNSET
    include_check: Annotated[
        Maybe[bool | tuple[str, ...]],
        Keyword(
            Optional(WordList(INCLUDE_CHECK)),
            "Which failures of include lines in keepalived.conf are errors; `+` adds to the checks, `-` takes away. Of no effect on include of YAML, where a missing file is always an error",
            default="none; all of them when nothing is given",
        ),
    ] = UNSET
