# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with virtual routers, seen from one node."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


def node_problems(status, instances):
    """What is wrong on one node; instances that are missing count, drained ones may be no master."""
    problems = []
    there = status.get("vrrp", {}).get("instances", {})
    for name in instances:
        it = there.get(name)
        if it is None:
            problems.append("%s does not run" % name)
        elif it["state"] == "FAULT":
            faults = ", ".join(
                str(each.get("detail", each)) if isinstance(each, dict) else str(each) for each in it["faults"]
            )
            problems.append("%s is in FAULT: %s" % (name, faults))
        elif it["state"] == "INIT":
            problems.append("%s has not started yet" % name)
        elif it["state"] == "BACKUP" and not it.get("master"):
            problems.append("%s hears no master" % name)
    return problems
