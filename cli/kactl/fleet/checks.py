"""What no configuration can say of itself: where those of several hosts disagree about one virtual router."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hmac import compare_digest
from ipaddress import ip_address
from itertools import combinations

from kactl.fleet.members import (
    Host,
    Member,
    VirtualRouter,
    addresses_of,
    on_one_segment,
    own_addresses_of,
    virtual_routers,
)
from kactl_agent.config.diagnostics import Diagnostic, Severity
from kactl_agent.vrrp.settings import SECOND, VrrpSettings

OWNER = 255


def check_fleet(hosts: Sequence[Host]) -> list[Diagnostic]:
    """Every disagreement, each at the line of one host and with the line of the other."""
    routers = virtual_routers(hosts)
    found = [*_clashes(routers), *_two_routers(routers)]
    for router in routers:
        for check in _CHECKS:
            found += check(router)
    found += _sync_groups(hosts, routers)
    return list(dict.fromkeys(found))


def _finding(
    code: str,
    first: Member,
    second: Member,
    keywords: Sequence[str],
    message: str,
    *,
    warn: bool = False,
    hint: str = "",
) -> Diagnostic:
    """A disagreement of two members; the message says what each has."""
    severity = Severity.WARNING if warn else Severity.ERROR
    text = f"{message} ({first.host.name}: {first.at(*keywords)}, {second.host.name}: {second.at(*keywords)})"
    return Diagnostic(f"fleet-{code}", text, first.place(*keywords), severity, hint)


def _against_first(router: VirtualRouter, value: Callable[[VrrpSettings], object]) -> Iterator[tuple[Member, Member]]:
    """Members that differ from the first one."""
    first, *others = router.members
    for other in others:
        if value(other.settings) != value(first.settings):
            yield first, other


# -- one virtual router ------------------------------------------------------------------------------------------------


def _version(router: VirtualRouter) -> Iterator[Diagnostic]:
    for first, other in _against_first(router, lambda it: it.version):
        yield _finding(
            "version", first, other, ("version",),
            f"{first.text} speaks VRRP version {first.settings.version}, {other.text} version "
            f"{other.settings.version}: each drops what the other sends, and both become master",
        )  # fmt: skip


def _addresses(router: VirtualRouter) -> Iterator[Diagnostic]:
    for first, other in _against_first(router, lambda it: addresses_of(it)):
        ours, theirs = addresses_of(first.settings), addresses_of(other.settings)
        parts = [
            f"{', '.join(sorted(str(ip_address(each)) for each in gone))} only on {member.host.name}"
            for gone, member in ((ours - theirs, first), (theirs - ours, other))
            if gone
        ]
        yield _finding(
            "addresses", first, other, ("virtual_ipaddress",),
            f"the virtual addresses of {first.text} and {other.text} differ: {'; '.join(parts)}",
            hint="the adverts of one do not fit the other; change all hosts in one rollout",
        )  # fmt: skip


def _interval(router: VirtualRouter) -> Iterator[Diagnostic]:
    for first, other in _against_first(router, lambda it: it.advert_interval):
        version2 = first.settings.version == 2
        consequence = "each drops the adverts of the other" if version2 else "a backup takes over the master's"
        yield _finding(
            "advert-interval", first, other, ("advert_int",),
            f"{first.text} advertises every {_seconds(first.settings.advert_interval)}, {other.text} every "
            f"{_seconds(other.settings.advert_interval)}: {consequence}",
            warn=not version2,
        )  # fmt: skip


def _checksum(router: VirtualRouter) -> Iterator[Diagnostic]:
    if any(member.settings.version != 3 or len(member.settings.multicast_group) == 16 for member in router.members):
        return
    for first, other in _against_first(router, lambda it: it.checksum_form):
        yield _finding(
            "checksum", first, other, ("v3_checksum_as_v2",),
            f"{first.text} and {other.text} compute the checksum in different forms (v3_checksum_as_v2): "
            "peers that do not take either form drop the adverts",
            warn=True,
        )  # fmt: skip


def _authentication(router: VirtualRouter) -> Iterator[Diagnostic]:
    first, *others = router.members
    for other in others:
        ours, theirs = first.settings, other.settings
        same = ours.authentication_header == theirs.authentication_header
        if same and compare_digest(ours.auth_password, theirs.auth_password):
            continue
        yield _finding(
            "authentication", first, other, ("authentication",),
            f"{first.text} and {other.text} do not authenticate alike: each drops the adverts of the other",
        )  # fmt: skip
    for one, two in combinations(router.members, 2):
        for sender, receiver in ((one, two), (two, one)):
            yield from _hmac(sender, receiver)


def _hmac(sender: Member, receiver: Member) -> Iterator[Diagnostic]:
    sends, takes = sender.settings.auth_hmac, receiver.settings.auth_hmac
    signs = sends is not None and sends.mode.value != "receive-only"
    enforces = takes is not None and takes.mode.value == "enforce"
    if enforces and not signs:
        yield _finding(
            "auth-hmac", sender, receiver, ("auth_hmac",),
            f"{sender.text} does not sign its adverts, and {receiver.text} takes only signed ones",
            hint="introduce it with mode receive-only, then permissive, then enforce on all hosts",
        )  # fmt: skip
    if sends is None or takes is None or not signs:
        return
    key = next((each.key for each in sends.keys if each.id == sends.active_key), b"")
    known = {each.id: each.key for each in takes.keys}
    if not compare_digest(known.get(sends.active_key, b""), key):
        how = "does not have" if sends.active_key not in known else "has another secret under that id for"
        yield _finding(
            "auth-hmac-key", sender, receiver, ("auth_hmac",),
            f"{sender.text} signs with key {sends.active_key}, which {receiver.text} {how}",
            hint="give a new key to all hosts first, then make it active",
        )  # fmt: skip


def _priorities(router: VirtualRouter) -> Iterator[Diagnostic]:
    for one, two in combinations(router.members, 2):
        priority = one.settings.priority
        if priority != two.settings.priority or one.host is two.host:
            continue
        if priority == OWNER:
            yield _finding(
                "two-owners", one, two, ("priority",),
                f"{one.text} and {two.text} both say that they own the addresses (priority {OWNER})",
                hint="the owner is the host whose own address it is: at most one",
            )  # fmt: skip
        else:
            yield _finding(
                "equal-priority", one, two, ("priority",),
                f"{one.text} and {two.text} have the same priority, {priority}: "
                "who is master is decided by their addresses",
                warn=True,
            )  # fmt: skip


def _peers(router: VirtualRouter) -> Iterator[Diagnostic]:
    for first, other in _against_first(router, lambda it: bool(it.unicast_peers)):
        yield _finding(
            "unicast", first, other, ("unicast_peer",),
            f"one of {first.text} and {other.text} sends unicast, the other multicast: they do not hear each other",
        )  # fmt: skip
    members = [member for member in router.members if member.settings.unicast_peers]
    for one, two in combinations(members, 2):
        for lists, listed in ((one, two), (two, one)):
            address, back = listed.settings.source_address, lists.settings.source_address
            if not address or not back:
                continue
            there, here = address in lists.settings.unicast_peers, back in listed.settings.unicast_peers
            if there and not here:
                yield _finding(
                    "unicast-peer", lists, listed, ("unicast_peer",),
                    f"{lists.text} has {ip_address(address)} ({listed.host.name}) as a peer, but {listed.text} has "
                    f"not {ip_address(back)} ({lists.host.name})",
                    hint="adverts go one way only: both may become master",
                )  # fmt: skip


def _timers(router: VirtualRouter) -> Iterator[Diagnostic]:
    quick = [it for it in router.members if it.settings.advert_interval < SECOND and it.settings.preempt]
    if len(router.members) < 2 or not quick:
        return
    first = quick[0]
    other = next(each for each in router.members if each is not first)
    if not first.settings.preempt_delay and first.settings.down_timer_adverts <= 3:
        yield _finding(
            "sub-second-preempt", first, other, ("advert_int",),
            f"{first.text} advertises every {_seconds(first.settings.advert_interval)} and preempts at once: "
            "on virtual machines, which pause for longer than that, it moves to and fro",
            warn=True, hint="preempt_delay, nopreempt or more down_timer_adverts",
        )  # fmt: skip


_CHECKS: tuple[Callable[[VirtualRouter], Iterator[Diagnostic]], ...] = (
    _version,
    _addresses,
    _interval,
    _checksum,
    _authentication,
    _priorities,
    _peers,
    _timers,
)


# -- several virtual routers -------------------------------------------------------------------------------------------


def _clashes(routers: Sequence[VirtualRouter]) -> Iterator[Diagnostic]:
    for one, two in combinations(routers, 2):
        if (one.family, one.virtual_router_id) != (two.family, two.virtual_router_id):
            continue
        meeting = [(ours, theirs) for ours in one.members for theirs in two.members if _may_meet(ours, theirs)]
        meeting.sort(key=lambda pair: not _surely_meet(*pair))
        if meeting:
            first, other = meeting[0]
            yield _finding(
                "vrid-clash", first, other, ("virtual_router_id",),
                f"{first.text} and {other.text} have virtual_router_id {one.virtual_router_id} for different addresses",
                warn=not _surely_meet(first, other),
                hint="on one segment each takes the other's adverts; it is fine on separate ones",
            )  # fmt: skip


def _two_routers(routers: Sequence[VirtualRouter]) -> Iterator[Diagnostic]:
    """An address that hosts have in virtual routers of different ids: none hears the other, all are master of it."""
    for one, two in combinations(routers, 2):
        if one.virtual_router_id == two.virtual_router_id:
            continue
        for first in one.members:
            ours = own_addresses_of(first.settings)
            other = next(
                (it for it in two.members if it.host is not first.host and ours & own_addresses_of(it.settings)), None
            )
            if other is not None:
                shared = ", ".join(sorted(str(ip_address(each)) for each in ours & own_addresses_of(other.settings)))
                yield _finding(
                    "two-routers", first, other, ("virtual_router_id",),
                    f"{first.text} (virtual_router_id {one.virtual_router_id}) and {other.text} "
                    f"({two.virtual_router_id}) both have {shared}: neither hears the other, and both become master",
                )  # fmt: skip
                break


def _may_meet(one: Member, two: Member) -> bool:
    """By unicast; or by multicast on interfaces of one name, unless the networks of their addresses differ."""
    ours, theirs = one.settings, two.settings
    if ours.unicast_peers or theirs.unicast_peers:
        return ours.source_address in theirs.unicast_peers or theirs.source_address in ours.unicast_peers
    if ours.interface != theirs.interface or ours.multicast_group != theirs.multicast_group:
        return False
    return one.host is two.host or on_one_segment(ours, theirs) is not False


def _surely_meet(one: Member, two: Member) -> bool:
    """Of two that may: not where nothing is known of the segments of two hosts."""
    ours, theirs = one.settings, two.settings
    return bool(one.host is two.host or ours.unicast_peers or on_one_segment(ours, theirs))


def _sync_groups(hosts: Sequence[Host], routers: Sequence[VirtualRouter]) -> Iterator[Diagnostic]:
    """Instances that fail over together on one host, and not on another that has them too."""
    router_of = {
        (member.host.name, member.settings.name): number
        for number, router in enumerate(routers)
        for member in router.members
    }
    for host in hosts:
        for group in host.groups:
            wanted = {router_of[host.name, name] for name in group.members if (host.name, name) in router_of}
            for other in hosts:
                if other is not host:
                    yield from _half_group(host, group.name, wanted, other, routers, router_of)


def _half_group(
    host: Host,
    group: str,
    wanted: set[int],
    other: Host,
    routers: Sequence[VirtualRouter],
    router_of: dict[tuple[str, str], int],
) -> Iterator[Diagnostic]:
    theirs = [it for it in other.instances if router_of[other.name, it.name] in wanted]
    groups = {it.sync_group for it in theirs}
    if len(theirs) < 2 or (len(groups) == 1 and "" not in groups):
        return
    loose = next((it for it in theirs if not it.sync_group), theirs[-1])
    first = next(m for m in routers[router_of[other.name, loose.name]].members if m.host is host)
    place = host.document.origin.find(("vrrp_sync_group", group)).place
    second = Member(other, loose)
    text = (
        f"sync group {group} of {host.name} keeps {first.settings.name} with others, and {second.text} is not kept so: "
        f"half of it may fail over ({host.name}: {place.file}:{place.line}, {other.name}: {second.at()})"
    )
    yield Diagnostic("fleet-sync-group", text, place, Severity.WARNING, "the same sync group on all hosts")


def _seconds(nanoseconds: int) -> str:
    whole, rest = divmod(nanoseconds, SECOND)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + " s"
