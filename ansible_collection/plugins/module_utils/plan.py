# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: what a reload would do, and how much it hurts."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.kactl.agent.plugins.module_utils.agent import call

CLASSES = ["no-op", "hitless", "brief", "disruptive"]
_LONGEST = 90.0  # seconds for the agent to read a configuration and plan


def plan_of(module, client, path=""):
    """The plan of a reload with a file (the agent's own without one). The task fails when the file is invalid."""
    params = {"file": path} if path else {}
    plan = call(module, client, "plan", params, max(_LONGEST, module.params["timeout"]))
    if not plan["valid"]:
        client.close()
        module.fail_json(
            msg="the configuration is invalid, and nothing was changed:\n%s" % "\n".join(plan["report"]),
            plan=plan,
        )
    return plan


def plan_text(plan):
    """A plan as lines for people."""
    if not plan["changes"]:
        return "plan: nothing changes\n"
    lines = ["plan: %s" % plan["class"]]
    if plan.get("peer_incompatible"):
        lines.append("  peers would drop our adverts until they have the same: roll it out to all of them")
    for change in plan["changes"]:
        lines.append("  %s: %s: %s" % (change.get("class", ""), change.get("subject", ""), change.get("text", "")))
    if plan.get("left_out"):
        lines.append("  and %d changes more" % plan["left_out"])
    return "\n".join(lines) + "\n"


def refusal(plan, most, peer_incompatible, reloads=True):
    """Why a plan is not to be carried out; empty when it is. What the agent could not run can still be written for its
    next start."""
    if reloads and plan.get("refused"):
        return (
            "the agent would refuse it: %s. The role kactl.agent.agent writes the unit that grants it" % plan["refused"]
        )
    worst = plan["class"] or "no-op"
    if CLASSES.index(worst) > CLASSES.index(most):
        return "the change is %s, and max_impact allows %s at most" % (worst, most)
    if plan.get("peer_incompatible") and not peer_incompatible:
        return "peers would drop the adverts of this node, which allow_peer_incompatible does not allow"
    return ""
