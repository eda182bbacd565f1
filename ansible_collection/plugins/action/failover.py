# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the module failover which host of the inventory it runs on."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """The module, with `node` said."""

    _requires_connection = True

    def run(self, tmp=None, task_vars=None):
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments.setdefault("node", task_vars.get("inventory_hostname"))
        to = arguments.get("to", "any")
        if to != "any" and to not in task_vars.get("groups", {}).get("all", [to]):
            raise AnsibleActionFail("there is no host %r in the inventory to move to" % to)
        result.update(
            self._execute_module(module_name="kactl.agent.failover", module_args=arguments, task_vars=task_vars)
        )
        return result
