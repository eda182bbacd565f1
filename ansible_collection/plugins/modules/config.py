#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: config
short_description: The configuration of a kactl agent
description:
  - Changes the configuration of an agent and reloads it, or only shows what would happen.
  - The change is validated on the node and planned by the agent before anything is touched. The agent itself puts the new text in
    the place of the old one, whole, and keeps the old one when it cannot be put in force.
  - Comments, order and layout of what does not change stay.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  config:
    description:
      - The configuration, or the part of it that is meant, in the structure of the agent's own YAML.
      - Required with O(state) V(merged), V(replaced), V(overridden), V(deleted) and V(rendered).
    type: dict
  state:
    description:
      - V(merged) adds what O(config) says to what is there.
      - V(replaced) makes the instances, virtual servers and other items that O(config) names exactly what it says; others stay.
      - V(overridden) makes the whole configuration exactly what O(config) says.
      - V(deleted) takes away what O(config) names.
      - V(gathered) returns the configuration of the node as RV(gathered).
      - V(rendered) returns the YAML and the keepalived.conf of O(config) as RV(rendered), without touching the node's.
      - V(parsed) returns the configuration that O(running_config) says as RV(parsed).
    type: str
    choices: [merged, replaced, overridden, deleted, gathered, rendered, parsed]
    default: merged
  running_config:
    description:
      - Text to parse with O(state) V(parsed), the YAML of an agent or a keepalived.conf.
    type: str
  path:
    description:
      - The agent's configuration file.
      - Without it a running agent is asked; V(/etc/kactl/agent.yaml) when there is none.
    type: path
  reload:
    description:
      - Whether to put the change in force. Otherwise only the file is written, for the agent's next start or reload.
      - When no agent runs, the file alone is written.
      - What the agent would refuse because its unit does not grant a capability that the change needs fails before anything is changed,
        in check mode too. The role P(kactl.agent.agent#role) writes such a unit first.
    type: bool
    default: true
  confirm:
    description:
      - Seconds after which the agent rolls back unless M(kactl.agent.reload) confirms; V(0) is never.
    type: int
    default: 0
  max_impact:
    description:
      - The worst class of the agent's plan that is still carried out. Otherwise the task fails before anything is changed.
    type: str
    choices: [no-op, hitless, brief, disruptive]
    default: disruptive
  allow_peer_incompatible:
    description:
      - Whether to go on when the plan says that peers will drop the adverts of this node until they have the same change.
    type: bool
    default: true
  return_config:
    description:
      - Whether RV(config) is returned, which has the secrets of the configuration as they stand there. Set C(no_log) on such a task.
    type: bool
    default: false
  backup:
    description:
      - Keep a copy of the file with the time in its name.
    type: bool
    default: false
extends_documentation_fragment:
  - kactl.agent.agent
  - kactl.agent.agent.executable
  - kactl.agent.agent.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the change of the YAML, secrets covered, and the agent's plan.
  idempotent:
    support: full
notes:
  - Items of a list are the same when their address (and port and protocol) or their name is. Routes and rules are the same when all of them is.
seealso:
  - module: kactl.agent.reload
  - module: kactl.agent.info
"""

EXAMPLES = r"""
- name: One more virtual address
  kactl.agent.config:
    config:
      vrrp_instance:
        VI_1:
          virtual_ipaddress: [192.0.2.11/24]

- name: The whole configuration, unless it would interrupt traffic
  kactl.agent.config:
    state: overridden
    config: "{{ agent_config }}"
    max_impact: hitless
    backup: true

- name: Take a real server out for good
  kactl.agent.config:
    state: deleted
    config:
      virtual_server:
        - address: 192.0.2.10
          port: 443
          protocol: TCP
          real_server:
            - {address: 10.0.0.1, port: 8443}

- name: What does the node have?
  kactl.agent.config:
    state: gathered
  register: node

- name: What would keepalived need for it?
  kactl.agent.config:
    state: rendered
    config: "{{ node.gathered }}"
"""

RETURN = r"""
before:
  description: The text of the file before, secrets covered.
  returned: with state merged, replaced, overridden and deleted
  type: str
after:
  description: The text of the file after, secrets covered.
  returned: with state merged, replaced, overridden and deleted
  type: str
config:
  description: The configuration after, with what it includes and with its secrets.
  returned: with return_config, with state merged, replaced, overridden and deleted
  type: dict
plan:
  description: What the change does to the running agent. C(class) is the worst of no-op, hitless, brief and disruptive.
  returned: when an agent runs and the file changes
  type: dict
  sample: {class: hitless, peer_incompatible: false, changes: [{subject: vrrp_instance VI_1, class: hitless, text: "priority 100 -> 110"}]}
reloaded:
  description: Whether the change is in force.
  returned: with state merged, replaced, overridden and deleted
  type: bool
revision:
  description: The revision in force.
  returned: when the agent was reloaded
  type: str
backup_file:
  description: The copy of the file before.
  returned: with backup, when the file changes
  type: str
path:
  description: The configuration file.
  returned: with states that concern the node's file
  type: str
gathered:
  description: The configuration of the node with what it includes.
  returned: with state gathered
  type: dict
rendered:
  description: The O(config) as C(yaml) and as C(keepalived), the text of keepalived.conf.
  returned: with state rendered
  type: dict
parsed:
  description: The configuration that O(running_config) says.
  returned: with state parsed
  type: dict
findings:
  description: Warnings about the configuration.
  returned: with states that check one
  type: list
  elements: dict
"""

import json
import os

from ansible_collections.kactl.agent.plugins.module_utils.agent import (
    AgentModule,
    agent_options,
    call,
    fail,
    findings_text,
    kactl,
    kactl_json,
)
from ansible_collections.kactl.agent.plugins.module_utils.control import AgentClient, AgentError, AgentUnreachable
from ansible_collections.kactl.agent.plugins.module_utils.plan import CLASSES, plan_of, plan_text, refusal
from ansible_collections.kactl.agent.plugins.module_utils.staging import stage

DEFAULT_PATH = "/etc/kactl/agent.yaml"
CHANGING = ("merged", "replaced", "overridden", "deleted")
_LONGEST = 90.0


def running_agent(module):
    """A client of the agent and its status; None and None when none runs. What answers but is no agent is an error."""
    if not os.path.exists(os.path.join(module.params["run_dir"], "agent.sock")):
        return None, None
    try:
        client = AgentClient(module.params["run_dir"], module.params["timeout"])
    except AgentUnreachable:
        return None, None  # a socket that an agent which died left behind
    try:
        client.check_protocol()
        return client, client.call("status")
    except AgentError as error:
        fail(module, error)


def edited(module, path, *options):
    """What `kactl config edit` says about the change."""
    arguments = ["config", "edit", path, "--state", module.params["state"], "--changes", "-", "--output", "json"]
    change = json.dumps(module.params["config"])
    code, report, err = kactl_json(module, arguments + list(options), change, what="kactl config edit")
    if not report["valid"]:
        findings = [each for each in report["diagnostics"] if each["severity"] == "error"]
        module.fail_json(
            msg="the configuration would be invalid, and nothing was changed:\n%s" % findings_text(findings),
            findings=report["diagnostics"],
            path=path,
        )
    if code != 0:
        module.fail_json(msg="%s could not be written, and nothing was changed: %s" % (path, err.strip()), path=path)
    return report


def staged(module, path):
    """A file with the new text, for the agent to read."""
    arguments = ["config", "edit", path, "--state", module.params["state"], "--changes", "-"]
    code, text, err = kactl(module, arguments, json.dumps(module.params["config"]))
    if code != 0:
        module.fail_json(msg="kactl config edit failed: %s" % err.strip())
    return stage(module, path, text)


def shown(module, path):
    """The configuration that stands in a file, with what it includes."""
    code, out, err = kactl(module, ["config", "show", path, "--output", "json"])
    if code != 0:
        module.fail_json(msg="%s cannot be read as a configuration:\n%s" % (path, err.strip()), path=path)
    return json.loads(out)["config"]


def change(module):
    client, status = running_agent(module)
    path = module.params["path"] or (status["agent"]["config_file"] if status else DEFAULT_PATH)
    applies = client is not None and os.path.realpath(status["agent"]["config_file"]) == os.path.realpath(path)
    report = edited(module, path)
    result = dict(
        changed=report["changed"],
        path=path,
        before=report["before"],
        after=report["after"],
        findings=report["diagnostics"],
        reloaded=False,
    )
    if not report["changed"]:
        if module.params["return_config"]:
            result["config"] = shown(module, path) if os.path.exists(path) else {}
        return result
    if applies or module.params["return_config"]:
        name = staged(module, path)
    if module.params["return_config"]:
        result["config"] = shown(module, name)
    if applies:
        result["plan"] = plan_of(module, client, name)
        limits = [module.params[each] for each in ("max_impact", "allow_peer_incompatible", "reload")]
        against = refusal(result["plan"], *limits)
        if against:
            module.fail_json(msg="%s; nothing was changed\n%s" % (against, plan_text(result["plan"])), **result)
    if module._diff:
        header = path if applies else "%s (no agent runs)" % path
        result["diff"] = [dict(before=report["before"], after=report["after"], before_header=path, after_header=header)]
        if applies:
            result["diff"].append(dict(prepared=plan_text(result["plan"])))
    if module.check_mode:
        return result
    if module.params["backup"] and os.path.exists(path):
        result["backup_file"] = module.backup_local(path)
    if applies and module.params["reload"]:
        params = {"file": name}
        if module.params["confirm"]:
            params["confirm_s"] = module.params["confirm"]
        outcome = call(module, client, "reload", params, max(_LONGEST, module.params["timeout"]))
        result.update(reloaded=True, revision=outcome["revision"])
    else:
        directory = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(directory):
            os.makedirs(directory, 0o755)
        edited(module, path, "--write")
    return result


def gathered(module):
    client, status = running_agent(module)
    path = module.params["path"] or (status["agent"]["config_file"] if status else DEFAULT_PATH)
    return dict(changed=False, path=path, gathered=shown(module, path))


def rendered(module):
    text = json.dumps(module.params["config"])
    code, yaml, err = kactl(module, ["config", "show", "-"], text)
    if code != 0:
        module.fail_json(msg="config is no valid configuration:\n%s" % err.strip())
    code, keepalived, err = kactl(module, ["convert", "--to", "keepalived", "-"], yaml)
    if code != 0:
        module.fail_json(msg="config has no keepalived.conf:\n%s" % err.strip())
    return dict(changed=False, rendered=dict(yaml=yaml, keepalived=keepalived))


def parsed(module):
    code, yaml, err = kactl(module, ["convert", "--to", "yaml", "-"], module.params["running_config"])
    if code != 0:  # it is YAML already, or neither
        yaml = module.params["running_config"]
    code, out, shown = kactl(module, ["config", "show", "-", "--output", "json"], yaml)
    if code != 0:
        module.fail_json(msg="running_config is neither the YAML of an agent nor a keepalived.conf:\n%s" % err.strip())
    return dict(changed=False, parsed=json.loads(out)["config"])


def main():
    wanting = [("state", state, ["config"]) for state in CHANGING + ("rendered",)]
    module = AgentModule(
        argument_spec=agent_options(
            config=dict(type="dict"),
            state=dict(type="str", choices=list(CHANGING) + ["gathered", "rendered", "parsed"], default="merged"),
            running_config=dict(type="str"),
            path=dict(type="path"),
            reload=dict(type="bool", default=True),
            confirm=dict(type="int", default=0),
            max_impact=dict(type="str", choices=CLASSES, default="disruptive"),
            allow_peer_incompatible=dict(type="bool", default=True),
            return_config=dict(type="bool", default=False),
            backup=dict(type="bool", default=False),
            executable=dict(type="path"),
        ),
        required_if=wanting + [("state", "parsed", ["running_config"])],
        supports_check_mode=True,
    )
    state = module.params["state"]
    offline = dict(gathered=gathered, rendered=rendered, parsed=parsed)
    module.exit_json(**offline.get(state, change)(module))


if __name__ == "__main__":
    main()
