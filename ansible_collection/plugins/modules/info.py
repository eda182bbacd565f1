#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: info
short_description: Live state and configuration of a kactl agent
description:
  - Reads the state of an agent from its control socket, and its configuration in the structure that M(kactl.agent.config) takes.
  - Changes nothing.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  gather_subset:
    description:
      - What to gather. V(all) is everything but V(config).
      - V(config) has to be named, as the configuration holds its secrets in clear and a registered result may end in a cache of facts;
        let such a task have C(no_log). It needs the node's C(kactl) command; the others need the control socket alone.
    type: list
    elements: str
    choices: [all, agent, vrrp, ipvs, bfd, config, events]
    default: [all]
  events:
    description:
      - How many of the newest events to return with the subset V(events).
    type: int
    default: 20
  stale_after:
    description:
      - Seconds after which state counts as stale; then RV(fresh) is false.
    type: float
    default: 5.0
extends_documentation_fragment:
  - kactl.agent.agent
  - kactl.agent.agent.executable
  - kactl.agent.agent.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: kactl.agent.config
"""

EXAMPLES = r"""
- name: Everything about the node's agent but its configuration
  kactl.agent.info:
  register: agent

- name: And its configuration, with the secrets in it
  kactl.agent.info:
    gather_subset: [all, config]
  no_log: true
  register: agent_with_config

- name: Who is master here
  ansible.builtin.debug:
    msg: "{{ agent.vrrp.instances | dict2items | selectattr('value.state', 'eq', 'MASTER') | map(attribute='key') }}"

- name: State alone, from the control socket
  kactl.agent.info:
    gather_subset: [vrrp]
"""

RETURN = r"""
agent:
  description: The agent itself, its processes, version, uptime, and the revision of the configuration in force.
  returned: with the subset agent
  type: dict
  sample: {version: 0.1.0, pid: 812, uptime_s: 12.5, config_revision: 3b1f0c5a9d2e, config_file: /etc/kactl/agent.yaml}
vrrp:
  description: Virtual routers (C(instances)) and sync groups (C(sync_groups)) by name.
  returned: with the subset vrrp
  type: dict
  sample: {instances: {VI_1: {state: MASTER, interface: eth0, virtual_router_id: 51}}, sync_groups: {}}
ipvs:
  description: Virtual servers and their real servers.
  returned: with the subset ipvs, when the agent has any
  type: dict
bfd:
  description: BFD sessions by name.
  returned: with the subset bfd, when the agent has any
  type: dict
config:
  description: The configuration in the agent's file with what it includes and its secrets, in the structure of M(kactl.agent.config).
  returned: with the subset config
  type: dict
events:
  description: The newest events of the agent's journal, the oldest of them first.
  returned: with the subset events
  type: list
  elements: dict
cursor:
  description: Where the events end; a stream of events can go on from there.
  returned: with the subset events
  type: str
as_of:
  description: When the state was so, by the clock of the node.
  returned: always
  type: str
  sample: "2026-01-01T00:00:00.000Z"
age:
  description: Seconds since then.
  returned: always
  type: float
  sample: 0.412
fresh:
  description: Whether the state is younger than O(stale_after). State that is not is not to be acted on.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.agent import (
    age_seconds,
    agent_options,
    call,
    connect,
    kactl_json,
)

STATE = ("agent", "vrrp", "ipvs", "bfd")


def newest_events(module, client, wanted):
    """The last events of the journal and the cursor behind them; the journal is read forwards."""
    events, cursor = [], ""
    while True:
        answer = call(module, client, "events", {"cursor": cursor})
        cursor = answer["cursor"]
        if not answer["events"]:
            return events, cursor
        events = (events + answer["events"])[-wanted:] if wanted else []


def main():
    module = AnsibleModule(
        argument_spec=agent_options(
            gather_subset=dict(
                type="list",
                elements="str",
                choices=["all", "agent", "vrrp", "ipvs", "bfd", "config", "events"],
                default=["all"],
            ),
            events=dict(type="int", default=20),
            stale_after=dict(type="float", default=5.0),
            executable=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    wanted = module.params["gather_subset"]
    everything = "all" in wanted
    client = connect(module)
    status = call(module, client, "status")
    age = age_seconds(status.get("as_of"))
    result = dict(
        changed=False,
        as_of=status.get("as_of"),
        age=age,
        fresh=age is not None and age <= module.params["stale_after"],
    )
    for part in STATE:
        if (everything or part in wanted) and part in status:
            result[part] = status[part]
    if everything or "events" in wanted:
        result["events"], result["cursor"] = newest_events(module, client, max(0, module.params["events"]))
    client.close()
    if "config" in wanted:
        file = status["agent"]["config_file"]
        _code, shown, _err = kactl_json(module, ["config", "show", file, "--output", "json"], what="kactl config show")
        result["config"] = shown["config"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
