# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

from ansible.errors import AnsibleFilterError

from ansible_collections.kactl.agent.plugins.plugin_utils import executable as command
from ansible_collections.kactl.agent.plugins.plugin_utils import virtual_routers as routers


def to_keepalived(config, executable=None):
    """The text of keepalived.conf for a configuration."""
    code, out, err = command.run(["convert", "--to", "keepalived", "-"], command.as_yaml_text(config), executable)
    if code != 0:
        raise AnsibleFilterError("this configuration has no keepalived.conf: %s" % err.strip())
    return out


def from_keepalived(text, executable=None, config_id=None):
    """The configuration that a keepalived.conf says, as data."""
    if not isinstance(text, str):
        raise AnsibleFilterError("from_keepalived takes the text of a keepalived.conf")
    identity = ["--config-id", config_id] if config_id else []
    code, out, err = command.run(["convert", "--to", "yaml", *identity, "-"], text, executable)
    if code == 0:
        code, out, err = command.run(["config", "show", "-", "--output", "json"], out, executable)
    if code != 0:
        raise AnsibleFilterError("this keepalived.conf cannot be converted: %s" % err.strip())
    return json.loads(out)["config"]


def validate(config, executable=None):
    """What is wrong with a configuration: a list of findings, empty for a flawless one."""
    return command.findings(["--no-secrets", "-"], command.as_yaml_text(config), executable)


def fleet_findings(configs, executable=None):
    """What is wrong with the configurations of several hosts, and where they disagree."""
    if not isinstance(configs, dict):
        raise AnsibleFilterError("fleet_findings takes a dictionary from host to configuration")
    return command.fleet_findings(configs, executable)


def cluster_problems(states, host=None, had=None):
    """What is wrong across hosts: unknown state, virtual routers without a master, or with several.

    With a host no virtual routers are looked at but those that it has, or had by what info returned there before.
    """
    problems = []
    for name, info in sorted(states.items()):
        if not isinstance(info, dict) or "vrrp" not in info:
            problems.append("%s: %s" % (name, (info or {}).get("msg", "its state is not known")))
        elif not info.get("fresh", True):
            problems.append("%s: its state is %s s old" % (name, info.get("age")))
    return problems + routers.problems(routers.virtual_routers(_known(states), host, had))


def virtual_routers(states):
    """The virtual routers that the instances of several hosts make."""
    return [each.as_data() for each in routers.virtual_routers(_known(states))]


def sharing_hosts(states, host, had=None):
    """The hosts that have a virtual router in common with this one, itself among them."""
    found = routers.virtual_routers(_known(states), host, had)
    return sorted({str(host)}.union(*(each.hosts for each in found)))


def _known(states):
    return {name: info for name, info in states.items() if isinstance(info, dict)}


def vrrp_owner(states, instance):
    """The hosts on which an instance is MASTER; states is a dictionary from host to what kactl.agent.info returned."""
    owners = []
    for host, info in states.items():
        instances = (info or {}).get("vrrp", {}).get("instances", {})
        if instances.get(instance, {}).get("state") == "MASTER" and (info or {}).get("fresh", True):
            owners.append(str(host))
    return sorted(owners)


class FilterModule:
    """Filters of kactl.agent."""

    def filters(self):
        return {
            "to_keepalived": to_keepalived,
            "from_keepalived": from_keepalived,
            "validate": validate,
            "fleet_findings": fleet_findings,
            "vrrp_owner": vrrp_owner,
            "cluster_problems": cluster_problems,
            "virtual_routers": virtual_routers,
            "sharing_hosts": sharing_hosts,
        }
