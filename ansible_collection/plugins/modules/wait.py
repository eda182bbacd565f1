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
  - Waits until the node's agent answers and its instances are MASTER, or BACKUP of a master that they hear. The task fails and says
    what is wrong when they are not in time.
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
      - Seconds to wait, for an agent that is starting too.
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
vrrp:
  description: Instances and sync groups by name, as M(kactl.agent.info) returns them.
  returned: success
  type: dict
problems:
  description: What is wrong.
  returned: failure
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.agent import agent_options, fail
from ansible_collections.kactl.agent.plugins.module_utils.cluster import node_problems
from ansible_collections.kactl.agent.plugins.module_utils.control import AgentClient, AgentError, AgentUnreachable
from ansible_collections.kactl.agent.plugins.module_utils.routers import states_of

_LOOK_AGAIN = 0.2


class Watch(object):
    """Looks at the node's agent again and again, through a restart too."""

    def __init__(self, module):
        self._module = module
        self._client = None

    def look(self):
        """The status and None; or None and why nobody answers. The task fails for what waiting does not mend."""
        try:
            if self._client is None:
                self._client = AgentClient(self._module.params["run_dir"], self._module.params["timeout"])
                self._client.check_protocol()
            return self._client.call("status"), None
        except AgentUnreachable as error:
            self.close()
            return None, error
        except AgentError as error:
            fail(self._module, error)

    def close(self):
        if self._client is not None:
            self._client.close()
            self._client = None


def main():
    module = AnsibleModule(
        argument_spec=agent_options(
            instances=dict(type="list", elements="str", default=[]),
            wait=dict(type="float", default=20.0),
        ),
        supports_check_mode=True,
    )
    watch = Watch(module)
    deadline = time.time() + module.params["wait"]
    names, problems = [], []
    while True:
        status, silence = watch.look()
        if status is not None:
            names = module.params["instances"] or sorted(status.get("vrrp", {}).get("instances", {}))
            problems = node_problems(status, names)
        if not (silence or problems) or time.time() >= deadline:
            break
        time.sleep(_LOOK_AGAIN)
    watch.close()
    if silence:
        fail(module, silence)
    result = dict(changed=False, states=states_of(status, names))
    if problems:
        module.fail_json(
            msg="not well after %g s: %s" % (module.params["wait"], "; ".join(problems)), problems=problems, **result
        )
    module.exit_json(vrrp=status.get("vrrp", {}), **result)


if __name__ == "__main__":
    main()
