# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual routers in the status of an agent: which a target means, how they stand, and waiting until they do."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

from ansible_collections.kactl.agent.plugins.module_utils.agent import call

_LOOK_AGAIN = 0.2  # seconds


def instances_of(module, status, instance=None, group=None):
    """Names of the instances meant: one, the members of a sync group, or all. The task fails for unknown ones."""
    vrrp = status.get("vrrp", {})
    instances, groups = vrrp.get("instances", {}), vrrp.get("sync_groups", {})
    if instance:
        if instance not in instances:
            module.fail_json(msg=_unknown("instance", instance, instances))
        return [instance]
    if group:
        if group not in groups:
            module.fail_json(msg=_unknown("sync group", group, groups))
        return list(groups[group]["members"])
    return sorted(instances)


def _unknown(what, name, known):
    there = ", ".join(sorted(known)) or "none"
    return "the agent has no %s %s; it has %s" % (what, name, there)


def states_of(status, names):
    """Name -> state, of the instances that are there."""
    instances = status.get("vrrp", {}).get("instances", {})
    return dict((name, instances[name]["state"]) for name in names if name in instances)


def drained(status, names):
    """Those of the instances that are drained."""
    instances = status.get("vrrp", {}).get("instances", {})
    return [name for name in names if instances.get(name, {}).get("drained")]


def wait_for(module, client, enough, seconds):
    """Look at the status until ``enough(status)``; the last status, and whether it was."""
    deadline = time.time() + seconds
    while True:
        status = call(module, client, "status")
        if enough(status):
            return status, True
        if time.time() >= deadline:
            return status, False
        time.sleep(_LOOK_AGAIN)
