#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: maintenance
short_description: Take a node, a virtual router or a real server out of service, and back
description:
  - Drains what is named, so that work can be done on it, or makes it active again.
  - A drained node or instance hands over by an advert of priority 0 and does not become master until it is active again. That
    survives reloads and restarts of the agent's processes.
  - A drained real server gets no new connections; those it has go on.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  state:
    description:
      - V(drained) or V(active).
    type: str
    choices: [drained, active]
    required: true
  instance:
    description:
      - The instance. Without it, O(group) and O(real_server) all instances of the node are meant.
    type: str
  group:
    description:
      - The sync group.
    type: str
  real_server:
    description:
      - The real server, and the virtual server that it belongs to.
    type: dict
    suboptions:
      virtual_server:
        description:
          - The virtual server as the agent's status names it, such as V(192.0.2.10:443/TCP), C(fwmark N) or C(group NAME).
          - Without it, the real server is meant in all of them.
        type: str
      address:
        description: The address of the real server.
        type: str
        required: true
      port:
        description: Its port.
        type: int
  reason:
    description:
      - Why; shown by the status and kept in the agent's journal.
    type: str
    default: maintenance by Ansible
  ttl:
    description:
      - Seconds after which it becomes active by itself; V(0) is never.
    type: int
    default: 0
  require_peer:
    description:
      - Drain a master only when another router takes over. When none does within the time of the protocol this node takes back, and the task fails.
    type: bool
    default: true
  wait:
    description:
      - Seconds to wait until no instance that was meant is master here; V(0) is not to wait.
    type: float
    default: 30.0
extends_documentation_fragment:
  - kactl.agent.agent
  - kactl.agent.agent.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details: What is drained already is ok at once, whatever the reason and the ttl were.
seealso:
  - module: kactl.agent.failover
"""

EXAMPLES = r"""
- name: Before the node is rebooted
  kactl.agent.maintenance:
    state: drained
    reason: kernel update

- name: And when it is back
  kactl.agent.maintenance:
    state: active

- name: No new connections to a real server for a quarter of an hour
  kactl.agent.maintenance:
    state: drained
    real_server: {virtual_server: "192.0.2.10:443/TCP", address: 10.0.0.1, port: 8443}
    ttl: 900
"""

RETURN = r"""
states:
  description: The instances that were meant and their states now.
  returned: for instances
  type: dict
  sample: {VI_1: BACKUP}
drained:
  description: What is drained now of what was meant.
  returned: always
  type: list
  elements: str
message:
  description: What the agent says about it.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.agent import agent_options, call, connect
from ansible_collections.kactl.agent.plugins.module_utils.routers import drained, instances_of, states_of, wait_for
from ansible_collections.kactl.agent.plugins.module_utils.servers import find_servers, order_servers

_LONGEST = 90.0  # seconds: the agent gives up after 60, and says why


def instances(module, client):
    status = call(module, client, "status")
    names = instances_of(module, status, module.params["instance"], module.params["group"])
    draining = module.params["state"] == "drained"
    held = drained(status, names)
    todo = [name for name in names if (name not in held) is draining]
    message = "%s already" % module.params["state"]
    if todo and not module.check_mode:
        target = module.params["group"] or module.params["instance"]
        params = {"target": target} if target else {"all": True}
        if draining:
            masters = "MASTER" in states_of(status, names).values()
            params.update(reason=module.params["reason"], require_peer=module.params["require_peer"] and masters)
            if module.params["ttl"]:
                params["ttl_s"] = module.params["ttl"]
        message = call(module, client, "drain" if draining else "undrain", params, _LONGEST)["message"]
        if draining and module.params["wait"]:
            status, enough = wait_for(
                module, client, lambda now: "MASTER" not in states_of(now, names).values(), module.params["wait"]
            )
            if not enough:
                module.fail_json(
                    msg="drained, but still master after %g s" % module.params["wait"], states=states_of(status, names)
                )
        status = call(module, client, "status")
    return dict(changed=bool(todo), states=states_of(status, names), drained=drained(status, names), message=message)


def real_server(module, client):
    wanted = module.params["real_server"]
    found = find_servers(module, client, wanted)
    draining = module.params["state"] == "drained"
    todo = [each for each in found if bool(each["drained"]) is not draining]
    message = "%s already" % module.params["state"]
    if todo and not module.check_mode:
        params = {"drained" if draining else "reset": True, "reason": module.params["reason"]}
        if module.params["ttl"] and draining:
            params["ttl_s"] = module.params["ttl"]
        message = order_servers(module, client, todo, params)
        found = find_servers(module, client, wanted)
    return dict(changed=bool(todo), drained=[each["name"] for each in found if each["drained"]], message=message)


def main():
    module = AnsibleModule(
        argument_spec=agent_options(
            state=dict(type="str", choices=["drained", "active"], required=True),
            instance=dict(type="str"),
            group=dict(type="str"),
            real_server=dict(
                type="dict",
                options=dict(
                    virtual_server=dict(type="str"), address=dict(type="str", required=True), port=dict(type="int")
                ),
            ),
            reason=dict(type="str", default="maintenance by Ansible"),
            ttl=dict(type="int", default=0),
            require_peer=dict(type="bool", default=True),
            wait=dict(type="float", default=30.0),
        ),
        mutually_exclusive=[("instance", "group", "real_server")],
        supports_check_mode=True,
    )
    client = connect(module)
    result = real_server(module, client) if module.params["real_server"] else instances(module, client)
    client.close()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
