#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: real_server
short_description: A real server of a kactl agent, for now or for good
description:
  - Sets the weight of a real server, drains it, adds it or takes it away.
  - With O(keep) the configuration says so from then on; otherwise the running agent alone is told, until it stops, or for O(ttl) seconds.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  virtual_server:
    description:
      - The virtual server, such as V(192.0.2.10:443/TCP), V([2001:db8::1]:53/UDP), V(fwmark 3) or V(group web).
    type: str
    required: true
  address:
    description:
      - The address of the real server.
    type: str
    required: true
  port:
    description:
      - Its port.
    type: int
  state:
    description:
      - V(present) sees to it that it is there, and has O(weight) when that is said.
      - V(absent) takes it away.
      - V(drained) gives it no new connections, V(active) lets it have them again, with the weight of the configuration.
    type: str
    choices: [present, absent, drained, active]
    default: present
  weight:
    description:
      - The weight, V(0) to V(65535), with O(state) V(present). O(state) V(active) with O(keep) needs it.
    type: int
  options:
    description:
      - Further keywords of the real server for the configuration, such as its checks; with O(keep) alone.
    type: dict
    default: {}
  keep:
    description:
      - Whether the configuration is changed. O(state) V(present) of one that is not there and V(absent) need it.
    type: bool
    default: false
  reason:
    description:
      - Why; kept in the agent's journal.
    type: str
    default: changed by Ansible
  ttl:
    description:
      - Seconds after which the agent goes back to its configuration; V(0) is never. Not with O(keep).
    type: int
    default: 0
extends_documentation_fragment:
  - kactl.agent.agent
  - kactl.agent.agent.executable
  - kactl.agent.agent.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: With O(keep) shows the change of the configuration.
  idempotent:
    support: full
seealso:
  - module: kactl.agent.maintenance
  - module: kactl.agent.config
"""

EXAMPLES = r"""
- name: A tenth of the traffic, for an hour
  kactl.agent.real_server:
    virtual_server: 192.0.2.10:443/TCP
    address: 10.0.0.3
    port: 8443
    weight: 1
    ttl: 3600

- name: One more real server, for good
  kactl.agent.real_server:
    virtual_server: 192.0.2.10:443/TCP
    address: 10.0.0.4
    port: 8443
    weight: 10
    options:
      TCP_CHECK: {connect_timeout: 3}
    keep: true

- name: And one less
  kactl.agent.real_server:
    virtual_server: 192.0.2.10:443/TCP
    address: 10.0.0.1
    port: 8443
    state: absent
    keep: true
"""

RETURN = r"""
real_server:
  description: The real server as it is now.
  returned: when it is there
  type: dict
  sample: {name: "10.0.0.1:8443 of 192.0.2.10:443/TCP", weight: 10, effective_weight: 0, alive: true, drained: true}
plan:
  description: What the change of the configuration does.
  returned: with keep, when it changes
  type: dict
message:
  description: What the agent says about it.
  returned: success
  type: str
"""

import json
import re
import time

from ansible_collections.kactl.agent.plugins.module_utils.agent import (
    AgentModule,
    agent_options,
    call,
    connect,
    findings_text,
    kactl,
    kactl_json,
)
from ansible_collections.kactl.agent.plugins.module_utils.plan import plan_of, plan_text
from ansible_collections.kactl.agent.plugins.module_utils.servers import (
    canonical,
    find_servers,
    name_of,
    order_servers,
    same_server,
    split_name,
    virtual_servers_of,
)
from ansible_collections.kactl.agent.plugins.module_utils.staging import stage

_LONGEST = 90.0
_STATUS_SECONDS = 5.0
_MOST_WEIGHT = 65535


def identity_of(module, name):
    """The header of a virtual server's block for its name."""
    for pattern, key in ((r"fwmark (\d+)$", "fwmark"), (r"group (\S+)$", "group")):
        found = re.match(pattern, name, re.IGNORECASE)
        if found:
            return {key: found.group(1)}
    found = split_name(name)
    if not found:
        module.fail_json(msg="virtual_server is ADDRESS:PORT/PROTOCOL, `fwmark N` or `group NAME`, not %r" % name)
    address, port, protocol = found
    return {"address": address, "port": port, "protocol": protocol}


def check_virtual_server(module, client):
    """A name with a slip of the pen must not become a new virtual server."""
    there = virtual_servers_of(module, client)
    if not any(same_server(each, module.params["virtual_server"]) for each in there):
        module.fail_json(
            msg="there is no virtual server %s; there are: %s"
            % (module.params["virtual_server"], ", ".join(name_of(each) for each in there) or "none")
        )


def kept(module, client):
    """Change the configuration and reload it."""
    said = module.params
    path = call(module, client, "status")["agent"]["config_file"]
    change = identity_of(module, said["virtual_server"])
    server = {"address": canonical(said["address"])}
    if said["port"]:
        server["port"] = said["port"]
    state = "deleted" if said["state"] == "absent" else "merged"
    if state == "merged":
        check_virtual_server(module, client)
        server.update(said["options"])
        if said["state"] == "drained":
            server["weight"] = 0
        elif said["weight"] is not None:
            server["weight"] = said["weight"]
    change["real_server"] = [server]
    edit = ["config", "edit", path, "--state", state, "--changes", "-"]
    text = json.dumps({"virtual_server": [change]})
    _code, report, _err = kactl_json(module, edit + ["--output", "json"], text, what="kactl config edit")
    if not report["valid"]:
        findings = [each for each in report["diagnostics"] if each["severity"] == "error"]
        module.fail_json(
            msg="the configuration would be invalid, and nothing was changed:\n%s" % findings_text(findings)
        )
    result = dict(changed=report["changed"], message="the configuration says so already")
    if not report["changed"]:
        return result
    code, new, err = kactl(module, edit, text)
    if code != 0:
        module.fail_json(msg="kactl config edit failed: %s" % err.strip())
    name = stage(module, path, new)
    result["plan"] = plan_of(module, client, name)
    if module._diff:
        shown = dict(before=report["before"], after=report["after"], before_header=path, after_header=path)
        result["diff"] = [shown, dict(prepared=plan_text(result["plan"]))]
    if module.check_mode:
        return dict(result, message="not done in check mode")
    outcome = call(module, client, "reload", {"file": name}, max(_LONGEST, said["timeout"]))
    return dict(result, message=outcome["message"])


def ephemeral(module, client):
    """Tell the running agent alone."""
    said = module.params
    found = find_servers(module, client, said)
    params = {"reason": said["reason"]}
    if said["ttl"]:
        params["ttl_s"] = said["ttl"]
    if said["state"] == "present":
        if said["weight"] is None:
            return dict(changed=False, message="it is there")
        todo = [each for each in found if (each["ordered"] or {}).get("weight", each["weight"]) != said["weight"]]
        params["weight"] = said["weight"]
    else:
        draining = said["state"] == "drained"
        ordered = "drained" if draining else "ordered"
        todo = [each for each in found if bool(each[ordered]) is not draining]
        params["drained" if draining else "reset"] = True
    if not todo:
        return dict(changed=False, message="so already")
    if module.check_mode:
        return dict(changed=True, message="not done in check mode")
    return dict(changed=True, message=order_servers(module, client, todo, params))


def shown(module, client):
    """The real server as it is now. What a reload has brought the status shows a moment later."""
    deadline = time.time() + _STATUS_SECONDS
    said = module.params
    wanted = None
    if said["keep"]:
        wanted = 0 if said["state"] == "drained" else said["weight"]
    while True:
        late = time.time() >= deadline
        found = find_servers(module, client, said, needed=late)
        if found and (late or wanted is None or found[0]["weight"] == wanted):
            return found[0]
        time.sleep(0.1)


def main():
    module = AgentModule(
        argument_spec=agent_options(
            virtual_server=dict(type="str", required=True),
            address=dict(type="str", required=True),
            port=dict(type="int"),
            state=dict(type="str", choices=["present", "absent", "drained", "active"], default="present"),
            weight=dict(type="int"),
            options=dict(type="dict", default={}),
            keep=dict(type="bool", default=False),
            reason=dict(type="str", default="changed by Ansible"),
            ttl=dict(type="int", default=0),
            executable=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    said = module.params
    if not said["keep"] and (said["state"] == "absent" or said["options"]):
        module.fail_json(msg="state absent and options change the configuration: say keep: true")
    if said["keep"] and said["ttl"]:
        module.fail_json(msg="ttl is for the running agent; what is kept is kept")
    if said["keep"] and said["state"] == "active" and said["weight"] is None:
        module.fail_json(msg="state active with keep needs weight: the configuration does not say what it was before")
    if said["weight"] is not None and (said["state"] == "drained" or (said["state"] == "active" and not said["keep"])):
        module.fail_json(msg="weight is for state present; state %s has one by itself" % said["state"])
    if said["weight"] is not None and not 0 <= said["weight"] <= _MOST_WEIGHT:
        module.fail_json(msg="weight is a number from 0 to %d, not %d" % (_MOST_WEIGHT, said["weight"]))
    client = connect(module)
    result = kept(module, client) if said["keep"] else ephemeral(module, client)
    if said["state"] != "absent" and not (module.check_mode and result["changed"]):
        result["real_server"] = shown(module, client)
    client.close()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
