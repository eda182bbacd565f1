#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: process
short_description: Run a kactl agent where no service manager does
description:
  - Starts an agent in the background, stops it orderly, or restarts it, in containers and on hosts without systemd.
  - An agent is known by its run directory. It is started when its control socket answers.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  state:
    description:
      - V(started), V(stopped) or V(restarted).
    type: str
    choices: [started, stopped, restarted]
    default: started
  command:
    description:
      - The command and its arguments. Required unless O(state) is V(stopped).
    type: list
    elements: str
  log_file:
    description:
      - Where its log goes. Without it, V(agent.log) in the run directory.
    type: path
  wait:
    description:
      - Seconds to wait until it answers, or has stopped.
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
    details: Not with O(state) V(restarted).
"""

EXAMPLES = r"""
- name: Run the agent in a container
  kactl.agent.process:
    command: [/opt/kactl/bin/kactl-agent, --config, /etc/kactl/agent.yaml]

- name: Stop it
  kactl.agent.process:
    state: stopped
"""

RETURN = r"""
pid:
  description: The process.
  returned: when it runs
  type: int
"""

import os
import signal
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.agent import agent_options
from ansible_collections.kactl.agent.plugins.module_utils.control import AgentClient, AgentError

_LOOK_AGAIN = 0.1


def running(module):
    """The pid of the agent that answers, or 0."""
    try:
        client = AgentClient(module.params["run_dir"], module.params["timeout"])
    except AgentError:
        return 0
    try:
        return int(client.call("status")["agent"]["pid"])
    except AgentError:
        return 0
    finally:
        client.close()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def launch(module, log_path):
    """The pid of the agent, in a session of its own, with its log in a file and no descriptor of ours."""
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    pid = os.fork()
    if pid:
        os.close(log)
        return pid
    try:
        os.setsid()
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for number, descriptor in enumerate((null, null, log)):
            os.dup2(descriptor, number)
        os.closerange(3, 4096)
        os.execvp(module.params["command"][0], module.params["command"])
    except OSError as error:
        os.write(2, ("%s: %s\n" % (module.params["command"][0], error.strerror)).encode("utf-8"))
    finally:
        os._exit(127)


def ended(pid):
    """The exit code of a child that has ended, None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        return None
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def start(module):
    run_dir = module.params["run_dir"]
    if not os.path.isdir(run_dir):
        os.makedirs(run_dir, 0o755)
    log_path = module.params["log_file"] or os.path.join(run_dir, "agent.log")
    child = launch(module, log_path)
    deadline = time.time() + module.params["wait"]
    while time.time() < deadline:
        pid = running(module)
        if pid:
            return pid
        code = ended(child)
        if code is not None:
            with open(log_path, "rb") as file:
                last = file.read()[-4000:].decode("utf-8", "replace")
            module.fail_json(msg="the agent ended at once with exit code %d:\n%s" % (code, last), rc=code)
        time.sleep(_LOOK_AGAIN)
    return module.fail_json(msg="the agent does not answer within %g s; see %s" % (module.params["wait"], log_path))


def stop(module, pid):
    os.kill(pid, signal.SIGTERM)
    deadline = time.time() + module.params["wait"]
    while is_alive(pid):
        if time.time() > deadline:
            module.fail_json(msg="the agent, process %d, has not stopped within %g s" % (pid, module.params["wait"]))
        time.sleep(_LOOK_AGAIN)


def main():
    module = AnsibleModule(
        argument_spec=agent_options(
            state=dict(type="str", choices=["started", "stopped", "restarted"], default="started"),
            command=dict(type="list", elements="str"),
            log_file=dict(type="path"),
            wait=dict(type="float", default=30.0),
        ),
        required_if=[("state", "started", ["command"]), ("state", "restarted", ["command"])],
        supports_check_mode=True,
    )
    state, pid = module.params["state"], running(module)
    stops = pid and state != "started"
    starts = state == "restarted" or (state == "started" and not pid)
    if not module.check_mode:
        if stops:
            stop(module, pid)
        if starts:
            pid = start(module)
    result = dict(changed=bool(stops or starts))
    if state != "stopped" and pid:
        result["pid"] = pid
    module.exit_json(**result)


if __name__ == "__main__":
    main()
