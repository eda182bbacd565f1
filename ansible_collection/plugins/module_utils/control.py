# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control protocol of kactl agents: newline-delimited JSON over a Unix socket. Nothing of the agent is imported."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import socket
import time

PROTOCOL_VERSION = 1
SOCKET_NAME = "agent.sock"
DEFAULT_RUN_DIR = "/run/kactl"
_CHUNK = 65536
_LARGEST_ANSWER = 64 * 1024 * 1024


class AgentError(Exception):
    """The agent refused. ``code`` is stable, ``data`` a dictionary."""

    def __init__(self, code, message, data=None):
        super(AgentError, self).__init__(message)
        self.code = code
        self.message = message
        self.data = data or {}


class AgentUnreachable(AgentError):
    """Nobody answers on the socket, or not as an agent does."""

    def __init__(self, message):
        super(AgentUnreachable, self).__init__("unreachable", message)


class AgentClient(object):
    """One connection to an agent. ``timeout`` is seconds to wait for an answer."""

    def __init__(self, run_dir, timeout=10.0):
        self.path = os.path.join(run_dir, SOCKET_NAME)
        self.timeout = timeout
        self._buffer = b""
        self._identity = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._connect(run_dir)
        except (IOError, OSError) as error:
            self._socket.close()
            raise AgentUnreachable(self._explain(error))

    def _connect(self, run_dir):
        # a path may be longer than a socket address: connect by way of the directory's descriptor
        directory = os.open(run_dir, os.O_RDONLY)
        try:
            self._socket.connect("/proc/self/fd/%d/%s" % (directory, SOCKET_NAME))
        finally:
            os.close(directory)

    def _explain(self, error):
        reason = error.strerror or str(error)
        if getattr(error, "errno", None) == 13:
            reason += "; the socket is for root alone (become: true)"
        elif getattr(error, "errno", None) in (2, 111):
            reason += "; is kactl-agent running, and is run_dir its run directory?"
        return "%s: %s" % (self.path, reason)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        """Let the connection go."""
        self._socket.close()

    def call(self, method, params=None, timeout=None):
        """The result of a method. Raises AgentError for what the agent refuses."""
        self._identity += 1
        identity = self._identity
        self._deadline = time.time() + (self.timeout if timeout is None else timeout)
        request = {"id": identity, "method": method, "params": params or {}}
        try:
            self._socket.settimeout(self.timeout if timeout is None else timeout)
            self._socket.sendall(json.dumps(request).encode("utf-8") + b"\n")
        except (IOError, OSError) as error:
            raise AgentUnreachable(self._explain(error))
        while True:
            answer = self._read()
            if "event" not in answer and answer.get("id") in (identity, None):
                break
        if "error" in answer:
            error = answer["error"]
            raise AgentError(error.get("code", ""), error.get("message", ""), error.get("data"))
        return answer.get("result")

    def check_protocol(self):
        """The agent's version. Raises AgentError for an agent that speaks another version of the protocol."""
        said = self.call("version")
        if said.get("protocol") != PROTOCOL_VERSION:
            raise AgentError(
                "other-protocol",
                "%s: agent %s speaks version %s of the control protocol, this collection version %d: "
                "upgrade the older of the two" % (self.path, said.get("agent"), said.get("protocol"), PROTOCOL_VERSION),
            )
        return said.get("agent")

    def subscribe(self, cursor=""):
        """Begin a stream of events: those behind the cursor first, or only new ones without one."""
        return self.call("subscribe", {"cursor": cursor})

    def next_event(self, timeout):
        """The next event of the stream, or None when none came within ``timeout`` seconds."""
        self._deadline = time.time() + timeout
        while True:
            try:
                answer = self._read()
            except _Late:
                return None
            if "event" in answer:
                return answer["event"]

    def _read(self):
        while b"\n" not in self._buffer:
            left = self._deadline - time.time()
            try:
                if left <= 0:
                    raise socket.timeout()
                self._socket.settimeout(left)
                data = self._socket.recv(_CHUNK)
            except socket.timeout:
                raise _Late("%s: no answer in time" % self.path)
            except (IOError, OSError) as error:
                raise AgentUnreachable(self._explain(error))
            if not data:
                raise AgentUnreachable("%s: the agent closed the connection" % self.path)
            self._buffer += data
            if len(self._buffer) > _LARGEST_ANSWER:
                raise AgentUnreachable("%s: an answer of more than %d bytes" % (self.path, _LARGEST_ANSWER))
        line, _newline, self._buffer = self._buffer.partition(b"\n")
        try:
            answer = json.loads(line.decode("utf-8"))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise AgentUnreachable("%s: what answers there is no agent" % self.path)
        return answer


class _Late(AgentUnreachable):
    """No answer in time."""
