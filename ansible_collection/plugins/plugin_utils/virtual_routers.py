# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual routers across hosts: which instances are one, who is its master, and what is wrong with it.

Names say nothing: VI_1 is everybody's name, and a VRID means something on its segment alone. Instances are one virtual
router when they have a virtual address in common, or when family and VRID are the same and they hear the same master.
Addresses that are the same on every segment (link-local) say nothing either; an instance that has no others is the same
as those of its name, family and VRID.
"""

from __future__ import annotations

from ipaddress import ip_address


class Member:
    """An instance on a host. Of what the host had before, and may not have any more, only its identity counts."""

    def __init__(self, host, name, instance, current=True):
        self.host = host
        self.name = name
        self.current = current
        self.family = instance.get("family")
        self.virtual_router_id = instance.get("virtual_router_id")
        self.is_master = current and instance.get("state") == "MASTER"
        said = list(instance.get("virtual_ipaddress") or []) + list(instance.get("virtual_ipaddress_excluded") or [])
        self.addresses = [str(each).partition("/")[0] for each in said]
        self._heard = instance.get("source_address" if self.is_master else "master")

    @property
    def marks(self):
        """What no other virtual router has: members with one of these in common belong together."""
        where = (self.family, self.virtual_router_id)
        found = [each for each in self.addresses if _is_telling(each)]
        if not found:
            found = [where + ("called", self.name)]
        if self._heard and _is_telling(self._heard):
            found.append(where + ("master", str(self._heard)))
        return found


def _is_telling(address):
    try:
        return not ip_address(str(address)).is_link_local
    except ValueError:
        return True


class VirtualRouter:
    """Members that are one."""

    def __init__(self, members):
        self.members = sorted(members, key=lambda it: (not it.current, it.host, it.name))

    @property
    def name(self):
        return self.members[0].name

    @property
    def addresses(self):
        return list(dict.fromkeys(each for member in self.members for each in member.addresses))

    @property
    def hosts(self):
        return sorted({member.host for member in self.members})

    @property
    def masters(self):
        return sorted({member.host for member in self.members if member.is_master})

    @property
    def is_there(self):
        return any(member.current for member in self.members)

    def as_data(self):
        instances = {}
        for member in self.members:
            if member.name not in instances.setdefault(member.host, []):
                instances[member.host].append(member.name)
        first = self.members[0]
        return {
            "name": self.name,
            "family": first.family,
            "virtual_router_id": first.virtual_router_id,
            "addresses": self.addresses,
            "hosts": self.hosts,
            "instances": instances,
            "masters": self.masters,
        }


def virtual_routers(states, host=None, had=None):
    """Of host -> what info returned; `had` is what it returned on `host` before, and with a host those of others are
    left out."""
    members = [member for name in sorted(states) for member in _members(name, states[name])]
    if host is not None and had is not None:
        members += _members(host, had, current=False)
    found = [VirtualRouter(each) for each in _together(members)]
    return sorted(
        (each for each in found if host is None or host in each.hosts), key=lambda it: (it.name, it.addresses)
    )


def _members(host, info, current=True):
    instances = ((info or {}).get("vrrp") or {}).get("instances") or {}
    return [Member(str(host), str(name), it, current) for name, it in sorted(instances.items())]


def _together(members):
    """Groups of members with marks in common, by way of others too."""
    bearing = {}
    for member in members:
        for mark in member.marks:
            bearing.setdefault(mark, []).append(member)
    groups, seen = [], set()
    for first in members:
        if id(first) in seen:
            continue
        group, waiting = [], [first]
        while waiting:
            member = waiting.pop()
            if id(member) not in seen:
                seen.add(id(member))
                group.append(member)
                for mark in member.marks:
                    waiting += bearing[mark]
        groups.append(group)
    return groups


def problems(routers):
    """A sentence for each virtual router that has not exactly one master."""
    names = [each.name for each in routers]
    said = []
    for router in routers:
        masters = router.masters
        if not router.is_there or len(masters) == 1:
            continue
        shown = router.name
        if names.count(router.name) > 1 and router.addresses:
            shown = "%s (%s)" % (router.name, router.addresses[0])
        who = "no host is master" if not masters else "%s are master" % " and ".join(masters)
        said.append("%s: %s" % (shown, who))
    return said
