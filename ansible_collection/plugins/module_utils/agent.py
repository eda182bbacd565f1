# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of kactl.agent share: their options, the way to the agent and to the kactl command of the node."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import calendar
import json
import os
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.control import (
    DEFAULT_RUN_DIR,
    AgentClient,
    AgentError,
    AgentUnreachable,
)

SEARCHED = ["/opt/kactl/bin", "/usr/local/bin", "/usr/bin"]

MAY_HOLD_SECRETS = ("config", "options", "running_config")
"""Parameters with configuration in them, which may have passwords."""


class AgentModule(AnsibleModule):
    """A module that takes configuration. Its invocation is logged on the node without what may hold secrets.

    ``no_log`` of the parameter would do that too, and would make asterisks of every interface name and number of the
    configuration wherever they stand in a result.
    """

    def log(self, msg, log_args=None):
        if log_args:
            shown = dict(
                (name, "NOT_LOGGING_PARAMETER" if name in MAY_HOLD_SECRETS else value)
                for name, value in log_args.items()
            )
            log_args, msg = shown, "Invoked with %s" % " ".join("%s=%s" % item for item in shown.items())
        super(AgentModule, self).log(msg, log_args=log_args)


def agent_options(**options):
    """The argument spec of a module that speaks to an agent, with its own options."""
    spec = dict(
        run_dir=dict(type="path", default=DEFAULT_RUN_DIR),
        timeout=dict(type="float", default=10.0),
    )
    spec.update(options)
    return spec


def connect(module):
    """A client of the node's agent, which speaks our protocol; otherwise the task fails and says why."""
    try:
        client = AgentClient(module.params["run_dir"], module.params["timeout"])
        client.check_protocol()
    except AgentError as error:
        fail(module, error)
    return client


def fail(module, error, **extra):
    """End the task with what the agent said."""
    unreachable = isinstance(error, AgentUnreachable)
    text = "no agent answers: %s" % error.message if unreachable else error.message
    module.fail_json(msg=text, error=dict(code=error.code, data=error.data), **extra)


def call(module, client, method, params=None, timeout=None):
    """The result of a method; the task fails with what the agent says against it."""
    try:
        return client.call(method, params, timeout)
    except AgentError as error:
        fail(module, error)


def kactl(module, arguments, data=None):
    """Run the node's kactl command. Returns its exit code, standard output and standard error.

    It is looked for where the role installs it, then on PATH; the option ``executable`` says otherwise.
    """
    path = module.params.get("executable")
    if not path:
        found = [os.path.join(folder, "kactl") for folder in SEARCHED]
        usable = [each for each in found if os.access(each, os.X_OK)]
        path = usable[0] if usable else module.get_bin_path("kactl")
        if not path:
            module.fail_json(
                msg="there is no kactl command on the node; looked in %s and on PATH. "
                "The role kactl.agent.agent installs it, `executable` says where it is" % ", ".join(SEARCHED)
            )
    environment = dict(LC_ALL="C.UTF-8", NO_COLOR="1")
    return module.run_command([path] + arguments, data=data, binary_data=True, environ_update=environment)


def kactl_json(module, arguments, data=None, what="kactl"):
    """The JSON that a kactl command prints; the task fails with what it says when it prints none."""
    code, out, err = kactl(module, arguments, data)
    try:
        return code, json.loads(out), err
    except ValueError:
        module.fail_json(msg="%s failed: %s" % (what, err.strip() or "exit code %d" % code), rc=code, stderr=err)


def findings_text(findings):
    """Diagnostics of kactl, a line each."""
    return "\n".join(
        "%s:%s:%s: %s[%s]: %s%s"
        % (
            each.get("file", ""),
            each.get("line", 0),
            each.get("column", 0),
            each.get("severity", "error"),
            each.get("code", ""),
            each.get("message", ""),
            " (%s)" % each["hint"] if each.get("hint") else "",
        )
        for each in findings
    )


def age_seconds(as_of):
    """Seconds since an ISO time of an agent, at least 0; None when it is none."""
    try:
        whole, _dot, fraction = as_of.rstrip("Z").partition(".")
        then = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0"))
    except (AttributeError, ValueError):
        return None
    return max(0.0, round(time.time() - then, 3))
