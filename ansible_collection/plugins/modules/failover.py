#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: failover
short_description: Move virtual routers to another node
description:
  - Hands the virtual routers of an agent over to another node, by an advert of priority 0, and holds them there.
  - Run it on all nodes of a cluster at once with O(to) naming the one that is to be master. Each node does its part - the named one
    is made ready and waits until it is MASTER, the others hand over.
  - Run on one node without O(to) it hands over to whichever node takes over.
  - The nodes that handed over stay drained for O(hold) seconds, or until M(kactl.agent.maintenance) makes them active, so that a
    node of higher priority does not take over again at once.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  instance:
    description:
      - The instance to move. Without it and O(group) all are moved.
    type: str
  group:
    description:
      - The sync group to move.
    type: str
  to:
    description:
      - The host, by its name in the inventory, that is to be master. V(any) is any other than this one.
    type: str
    default: any
  node:
    description:
      - The name of this host in the inventory. It need not be said.
    type: str
  require_peer:
    description:
      - Hand over only when another router takes over. When none does within the time of the protocol this node takes back, and the task fails.
    type: bool
    default: true
  hold:
    description:
      - Seconds for which the node that handed over does not become master again; V(0) is until it is made active.
    type: int
    default: 0
  reason:
    description:
      - Why; shown by the status and kept in the agent's journal.
    type: str
    default: moved by Ansible
  wait:
    description:
      - Seconds to wait until the virtual routers are where they are to be.
    type: float
    default: 30.0
extends_documentation_fragment:
  - kactl.agent.agent
  - kactl.agent.agent.attributes
attributes:
  action:
    description: Has an action on the controller, which tells the module which host it is.
    support: full
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: kactl.agent.maintenance
"""

EXAMPLES = r"""
- name: Make lb2 the master of everything
  kactl.agent.failover:
    to: lb2
  # on all hosts of the cluster

- name: Hand one virtual router over to whoever takes it, for ten minutes
  kactl.agent.failover:
    instance: VI_1
    hold: 600
    reason: kernel update
"""

RETURN = r"""
states:
  description: The instances that were meant and their states now.
  returned: always
  type: dict
  sample: {VI_1: BACKUP}
drained:
  description: Instances that this node holds back now.
  returned: always
  type: list
  elements: str
message:
  description: What the agent says about it.
  returned: success
  type: str
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.agent import agent_options, call, connect, fail
from ansible_collections.kactl.agent.plugins.module_utils.control import AgentError
from ansible_collections.kactl.agent.plugins.module_utils.routers import drained, instances_of, states_of, wait_for

_HEAD_START = 1.5  # seconds
_TRY_AGAIN = 2.0


def targets(module, names):
    """What to name to the agent: a group as one, an instance, or each of them."""
    if module.params["group"]:
        return [module.params["group"]]
    return names if module.params["instance"] else [None]


def order(module, client, method, target, **params):
    """A drain or undrain; ``None`` is all instances.

    The host that is to be master may still be on its way: a handover that nobody took up is tried again meanwhile.
    """
    params.update({"all": True} if target is None else {"target": target})
    deadline = time.time() + (module.params["wait"] if module.params["to"] != "any" else 0)
    while True:
        try:
            return client.call(method, params, max(60.0, module.params["timeout"]))
        except AgentError as error:
            if error.code != "drain-failed" or time.time() >= deadline:
                fail(module, error)
        time.sleep(_TRY_AGAIN)


def hand_over(module, client, status, names):
    """This node is to be no master. Returns whether something changes, and what the agent says."""
    waiting = [name for name in names if name not in drained(status, names)]
    if not waiting:
        return False, "drained already"
    if module.check_mode:
        return True, "not done in check mode"
    said = []
    if module.params["to"] != "any":
        time.sleep(_HEAD_START)  # all hosts run at once, and that one is to be ready first
    is_master = "MASTER" in states_of(status, names).values()
    for target in targets(module, names):
        params = dict(reason=module.params["reason"], require_peer=module.params["require_peer"] and is_master)
        if module.params["hold"]:
            params["ttl_s"] = module.params["hold"]
        said.append(order(module, client, "drain", target, **params)["message"])
    return True, "; ".join(said)


def take(module, client, status, names):
    """This node is to be master. Returns whether something changes, and what the agent says."""
    changed, said = False, []
    held = drained(status, names)
    if held:
        changed = True
        if not module.check_mode:
            for target in targets(module, held):
                said.append(order(module, client, "undrain", target)["message"])
    missing = [name for name, state in states_of(status, names).items() if state != "MASTER"]
    if not missing or module.check_mode:
        return changed or bool(missing), "; ".join(said) or "master already"

    def all_masters(now):
        return all(state == "MASTER" for state in states_of(now, names).values())

    status, enough = wait_for(module, client, all_masters, module.params["wait"])
    states = states_of(status, names)
    if not enough:
        late = ", ".join("%s is %s" % each for each in sorted(states.items()) if each[1] != "MASTER")
        module.fail_json(
            msg="this node has not become master within %g s: %s; `kactl why` on it says why"
            % (module.params["wait"], late),
            states=states,
            drained=drained(status, names),
        )
    return True, "; ".join(said + ["master of %s" % ", ".join(sorted(states))])


def main():
    module = AnsibleModule(
        argument_spec=agent_options(
            instance=dict(type="str"),
            group=dict(type="str"),
            to=dict(type="str", default="any"),
            node=dict(type="str"),
            require_peer=dict(type="bool", default=True),
            hold=dict(type="int", default=0),
            reason=dict(type="str", default="moved by Ansible"),
            wait=dict(type="float", default=30.0),
        ),
        mutually_exclusive=[("instance", "group")],
        supports_check_mode=True,
    )
    to, node = module.params["to"], module.params["node"]
    if to != "any" and not node:
        module.fail_json(msg="say with `node` which host this is")
    client = connect(module)
    status = call(module, client, "status")
    names = instances_of(module, status, module.params["instance"], module.params["group"])
    act = take if to == node else hand_over
    changed, message = act(module, client, status, names)
    if act is hand_over and changed and not module.check_mode:
        wait_for(module, client, lambda now: "MASTER" not in states_of(now, names).values(), module.params["wait"])
    status = call(module, client, "status")
    client.close()
    module.exit_json(changed=changed, states=states_of(status, names), drained=drained(status, names), message=message)


if __name__ == "__main__":
    main()
