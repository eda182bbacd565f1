#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: wait
short_description: Wait until the virtual routers of a node are well
description:
  - Waits until the instances of the node's agent are MASTER, or BACKUP of a master that they hear. The task fails and says what is
    wrong when they are not in time.
  - Whether a virtual router has exactly one master only several nodes together show; P(kactl.agent.cluster_problems#filter) says.
  - Changes nothing.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  instances:
    description:
      - The instances to look at; all that the agent has, when it is empty.
    type: list
    elements: str
    default: []
  wait:
    description:
      - Seconds to wait.
    type: float
    default: 20.0
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
"""

EXAMPLES = r"""
- name: The node fares well
  kactl.agent.wait:
    wait: 30
"""

RETURN = r"""
states:
  description: Instances and their states on this node.
  returned: always
  type: dict
  sample: {VI_1: MASTER}
problems:
  description: What is wrong.
  returned: failure
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.agent import agent_options, call, connect
from ansible_collections.kactl.agent.plugins.module_utils.cluster import node_problems
from ansible_collections.kactl.agent.plugins.module_utils.routers import states_of

_LOOK_AGAIN = 0.2


def main():
    module = AnsibleModule(
        argument_spec=agent_options(
            instances=dict(type="list", elements="str", default=[]),
            wait=dict(type="float", default=20.0),
        ),
        supports_check_mode=True,
    )
    client = connect(module)
    deadline = time.time() + module.params["wait"]
    while True:
        status = call(module, client, "status")
        names = module.params["instances"] or sorted(status.get("vrrp", {}).get("instances", {}))
        problems = node_problems(status, names)
        if not problems or time.time() >= deadline:
            break
        time.sleep(_LOOK_AGAIN)
    client.close()
    result = dict(changed=False, states=states_of(status, names))
    if problems:
        module.fail_json(
            msg="not well after %g s: %s" % (module.params["wait"], "; ".join(problems)), problems=problems, **result
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
