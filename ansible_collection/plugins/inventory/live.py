# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: live
short_description: Groups hosts by what their kactl agents are right now
author: The kactl maintainers (@kactl)
version_added: 0.1.0
description:
  - Asks every host for the state of its agent, and groups hosts by it - C(kactl_master_VI_1), C(kactl_backup_VI_1),
    C(kactl_fault_VI_1), C(kactl_masters) (master of anything), C(kactl_others), and C(kactl_unknown) for hosts that do not answer.
  - The answer of each host is its variable C(kactl_status). It is data - no template in it is evaluated.
options:
  plugin:
    description: Always V(kactl.agent.live).
    required: true
    choices: [kactl.agent.live]
  hosts:
    description: The hosts, with the variables they are to have.
    type: dict
    required: true
  command:
    description:
      - The command, run on the controller, that prints C(kactl status --output json) of a host.
      - C({host}) and the names of the host's variables in braces are filled in.
    type: list
    elements: str
    default: [ssh, -o, BatchMode=yes, "{ansible_host}", sudo, kactl, status, --output, json]
  timeout:
    description: Seconds to wait for each host.
    type: float
    default: 10.0
"""

EXAMPLES = r"""
plugin: kactl.agent.live
hosts:
  lb1: {ansible_host: 10.0.0.11}
  lb2: {ansible_host: 10.0.0.12}
"""

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

try:
    from ansible.utils.unsafe_proxy import wrap_var as as_data
except ImportError:  # an ansible-core that takes no text for a template unless it is marked as one

    def as_data(value):
        """What a node said, not to be evaluated."""
        return value


_AT_ONCE = 32


class InventoryModule(BaseInventoryPlugin):
    """Hosts by live role."""

    NAME = "kactl.agent.live"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(("kactl.yml", "kactl.yaml"))

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        hosts = {name: dict(said or {}) for name, said in self.get_option("hosts").items()}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            statuses = dict(zip(hosts, pool.map(lambda item: self._ask(*item), hosts.items())))
        for name, said in hosts.items():
            inventory.add_host(name)
            for key, value in said.items():
                inventory.set_variable(name, key, value)
            self._group(name, statuses[name])

    def _ask(self, name, said):
        """The status of a host's agent, or None."""
        words = {"host": name, "ansible_host": name, **said}
        try:
            command = [word.format(**words) for word in self.get_option("command")]
        except (KeyError, IndexError) as error:
            raise AnsibleParserError("command of %s: no variable %s" % (name, error)) from error
        try:
            done = subprocess.run(command, capture_output=True, check=True, timeout=self.get_option("timeout"))
            status = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.display.vv("kactl.agent.live: %s: %s" % (name, error))
            return None
        return status if isinstance(status, dict) else None

    def _group(self, host, status):
        try:
            states = dict((name, str(it["state"])) for name, it in status["vrrp"]["instances"].items())
        except (AttributeError, KeyError, TypeError):  # no answer, or not that of an agent
            self._add("kactl_unknown", host)
            return
        self.inventory.set_variable(host, "kactl_status", as_data(status))
        for name, state in states.items():
            self._add(re.sub(r"\W", "_", "kactl_%s_%s" % (state.lower(), name)), host)
        self._add("kactl_masters" if "MASTER" in states.values() else "kactl_others", host)

    def _add(self, group, host):
        self.inventory.add_group(group)
        self.inventory.add_child(group, host)
