"""Runs modules in a container, by `podman exec` or `docker exec` alone: no SSH, no other collection, and pipelined."""

from __future__ import annotations

import os
import subprocess

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: container
author: The kactl maintainers
short_description: Containers of podman or docker
description:
  - Runs tasks in a container that runs already.
options:
  host:
    description: The name of the container.
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
  engine:
    description: The command of the container engine.
    default: podman
    vars:
      - name: container_engine
"""


class Connection(ConnectionBase):
    """One container."""

    transport = "container"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def _command(self, *words):
        return [self.get_option("engine"), "exec", "-i", self.get_option("host"), *words]

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        command = self._command("/bin/sh", "-c", cmd)
        done = subprocess.run(command, input=in_data or b"", capture_output=True, check=False)
        if done.returncode == 125:
            raise AnsibleConnectionFailure(done.stderr.decode(errors="replace"))
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as file:
            self._copy(["/bin/sh", "-c", 'cat >"$1"', "sh", out_path], file, subprocess.PIPE)

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        with open(out_path, "wb") as file:
            self._copy(["/bin/cat", in_path], subprocess.DEVNULL, file)

    def _copy(self, words, source, target):
        done = subprocess.run(self._command(*words), stdin=source, stdout=target, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            raise AnsibleError("%s: %s" % (os.fspath(words[-1]), done.stderr.decode(errors="replace")))

    def close(self):
        self._connected = False
