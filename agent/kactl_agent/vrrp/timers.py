"""The lengths of VRRP's timers: integer nanoseconds from integer nanoseconds. Every caller uses these functions."""

from __future__ import annotations

from kactl_agent.vrrp.settings import SECOND


def skew_time(version: int, priority: int, master_adver_interval: int) -> int:
    """Skew_Time in ns (RFC 3768 6.1 for version 2, RFC 9568 6.1 for version 3).

    VRRPv2's does not depend on the interval: (256 - priority) / 256 seconds. VRRPv3's is that share of the master's
    interval. The address owner counts with 255, as keepalived does. A fraction of a nanosecond is dropped.
    """
    base = SECOND if version == 2 else master_adver_interval
    return (256 - priority) * base // 256


def master_down_interval(version: int, priority: int, master_adver_interval: int, down_timer_adverts: int = 3) -> int:
    """Master_Down_Interval in ns (RFC 3768 6.1; RFC 9568 6.1 calls it Active_Down_Interval).

    `master_adver_interval` is the router's own interval in version 2 and the one learned from the master in version 3.
    `down_timer_adverts` is keepalived's keyword: the RFCs know 3 only.
    """
    return down_timer_adverts * master_adver_interval + skew_time(version, priority, master_adver_interval)


def earliest(*times: int | None) -> int | None:
    """The first of the moments that there are; None when there is none."""
    found = None
    for moment in times:
        if moment is not None and (found is None or moment < found):
            found = moment
    return found
