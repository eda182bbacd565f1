#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: reload
short_description: Make a kactl agent read its configuration again, with a safety net
description:
  - Reloads an agent, which keeps what does not change, refuses what is invalid and says what it did.
  - With O(confirm) the agent goes back to the configuration before by itself unless it is told that all is well.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  action:
    description:
      - V(reload) puts the configuration file in force; with O(file) another file becomes the configuration.
      - V(confirm) says that what was reloaded with O(confirm) is to stay.
      - V(rollback) goes back to the configuration before.
    type: str
    choices: [reload, confirm, rollback]
    default: reload
  file:
    description:
      - Absolute path on the node of a file that is to become the configuration. Its text replaces the agent's file.
    type: path
  confirm:
    description:
      - Seconds after which the agent rolls back unless it is confirmed; V(0) is never.
    type: int
    default: 0
  revision:
    description:
      - The revision that O(action) V(confirm) or V(rollback) means, as RV(revision) of the reload said. Whoever does not look on says it.
      - V(confirm) fails unless it is in force; so a configuration that the agent has rolled back is not taken for confirmed.
      - V(rollback) does nothing unless it is in force; so nobody goes back from another configuration.
    type: str
extends_documentation_fragment:
  - kactl.agent.agent
  - kactl.agent.agent.attributes
attributes:
  check_mode:
    support: full
    details: The plan is returned, and nothing is done.
  diff_mode:
    support: full
    details: Shows the plan.
  idempotent:
    support: full
seealso:
  - module: kactl.agent.config
"""

EXAMPLES = r"""
- name: Put what stands in the file in force
  kactl.agent.reload:

- name: Put it in force for two minutes
  kactl.agent.reload:
    confirm: 120
  register: tried

- name: And let it stay, as the node still answers
  kactl.agent.reload:
    action: confirm
    revision: "{{ tried.revision }}"

- name: What would a reload do?
  kactl.agent.reload:
  check_mode: true
  register: planned
"""

RETURN = r"""
revision:
  description: The revision in force; it changes when, and only when, the meaning of the configuration does.
  returned: success
  type: str
  sample: 3b1f0c5a9d2e
revision_before:
  description: The revision that was in force before.
  returned: success
  type: str
plan:
  description: What the reload does. C(class) is the worst of no-op, hitless, brief and disruptive; C(changes) has each with whom it concerns.
  returned: with action reload
  type: dict
  sample: {class: hitless, peer_incompatible: false, changes: [{subject: vrrp_instance VI_1, class: hitless, text: "priority 100 -> 110"}]}
message:
  description: What the agent says about it.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.agent import agent_options, call, connect
from ansible_collections.kactl.agent.plugins.module_utils.plan import plan_of, plan_text

_LONGEST = 90.0  # seconds for the agent to read, plan and apply


def reload_agent(module, client, before):
    params = {}
    if module.params["file"]:
        params["file"] = module.params["file"]
    plan = plan_of(module, client, params.get("file", ""))
    changed = plan["revision"]["new"] != before
    result = dict(changed=changed, plan=plan, revision_before=before)
    if module._diff:
        result["diff"] = dict(prepared=plan_text(plan))
    if module.check_mode:
        return dict(result, revision=plan["revision"]["new"], message="not reloaded in check mode")
    if changed or params:
        if module.params["confirm"]:
            params["confirm_s"] = module.params["confirm"]
        outcome = call(module, client, "reload", params, max(_LONGEST, module.params["timeout"]))
    else:
        outcome = dict(revision=before, message="nothing changed")
    return dict(result, revision=outcome["revision"], message=outcome["message"])


def confirm(module, client, before, pending):
    """What was reloaded on trial stays."""
    meant = module.params["revision"]
    if meant and meant != before:
        module.fail_json(msg="configuration %s is not in force: %s is" % (meant, before), revision=before)
    if not pending:
        message = "%s is in force already" % meant if meant else "nothing waits to be confirmed"
        return dict(changed=False, revision=before, message=message)
    return told(module, client, before, "confirmed")


def rollback(module, client, before, _pending):
    """Go back, but from no other configuration than the one that is meant."""
    meant = module.params["revision"]
    if meant and meant != before:
        message = "configuration %s is not in force: %s is, and stays" % (meant, before)
        return dict(changed=False, revision=before, message=message)
    return told(module, client, before, "rolled_back")


def told(module, client, before, done):
    """What comes of telling the agent; by the word ``done`` it says whether something did."""
    if module.check_mode:
        return dict(changed=True, revision=before, message="not done in check mode")
    params = {"revision": module.params["revision"]} if module.params["revision"] else {}
    outcome = call(module, client, module.params["action"], params, max(_LONGEST, module.params["timeout"]))
    message = outcome.get("message") or "revision %s stays" % outcome["revision"]
    return dict(changed=outcome.get(done, True), revision=outcome["revision"], message=message)


def main():
    module = AnsibleModule(
        argument_spec=agent_options(
            action=dict(type="str", choices=["reload", "confirm", "rollback"], default="reload"),
            file=dict(type="path"),
            confirm=dict(type="int", default=0),
            revision=dict(type="str"),
        ),
        supports_check_mode=True,
    )
    if module.params["confirm"] < 0:
        module.fail_json(msg="confirm is a number of seconds, 0 or more")
    if module.params["revision"] and module.params["action"] == "reload":
        module.fail_json(msg="revision is for action confirm and rollback")
    client = connect(module)
    agent = call(module, client, "status")["agent"]
    before = agent["config_revision"]
    if module.params["action"] == "reload":
        result = reload_agent(module, client, before)
    else:
        act = confirm if module.params["action"] == "confirm" else rollback
        result = dict(act(module, client, before, agent.get("pending_confirmation")), revision_before=before)
    client.close()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
