"""Resolved settings as one of the two sides of a plan."""

from __future__ import annotations

from kactl_agent.config.diff import Side
from kactl_agent.config.resolve import Settings


def side_of(settings: Settings) -> Side:
    """Scripts are compared as they are written, not as they are found on this machine."""
    return Side(
        vrrp=settings.vrrp,
        sync_groups=settings.sync_groups,
        static=settings.static,
        firewall=settings.firewall,
        network=settings.network,
        tracking=settings.tracking,
        bfd=settings.bfd,
        checkers=settings.balancing.settings,
        others={
            "router_id": settings.router_id,
            "notifications": settings.notify,
            "scripts": settings.script_policy,
            "reloads": settings.reload,
        },
        process=settings.process,
    )
