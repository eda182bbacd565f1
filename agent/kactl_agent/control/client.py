"""A client of the control socket: synchronous, standard library only. What `kactl` uses."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from kactl_agent.control.protocol import BAD_PARAMS, LARGEST_ANSWER, SOCKET_NAME, ControlError, is_text

_CHUNK = 1 << 16


class AgentNotReachable(Exception):
    """No agent answers on the socket; says why."""


class ControlClient:
    """One connection. Raises AgentNotReachable when the agent cannot be reached or stops answering."""

    def __init__(self, run_dir: str | Path, timeout: float = 10.0) -> None:
        """`timeout` is seconds to wait for an answer."""
        self.path = Path(run_dir) / SOCKET_NAME
        self._timeout = timeout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout)
        self._buffer = bytearray()
        self._identity = 0
        try:
            self._connect()
        except OSError as error:
            self._socket.close()
            raise AgentNotReachable(f"{self.path}: {error.strerror or error}") from error

    def _connect(self) -> None:
        """A path may be longer than a socket address: connect by way of the directory's descriptor."""
        directory = os.open(self.path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        finally:
            os.close(directory)

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, params: dict[str, Any] | None = None, timeout: float | None = None) -> Any:
        """The result of a method. Raises ControlError when the agent answers with one, or would: names of files may
        hold bytes that are no UTF-8, and cannot be said in JSON."""
        for name, value in (params or {}).items():
            if not is_text(value):
                raise ControlError(BAD_PARAMS, f"{name} {value!a} holds bytes that are no UTF-8: use another name")
        self._identity += 1
        identity = self._identity
        self._socket.settimeout(self._timeout if timeout is None else timeout)
        request = {"id": identity, "method": method, "params": params or {}}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise AgentNotReachable(f"{self.path}: {error.strerror or error}") from error
        while True:
            answer = self._read()
            if answer.get("id") in (identity, None) and "event" not in answer:
                break
        if "error" in answer:
            error_ = answer["error"]
            raise ControlError(error_["code"], error_["message"], error_.get("data"))
        return answer["result"]

    def events(self, cursor: str = "", timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """Subscribe, then yield events for ever: those behind `cursor` first, or only new ones without it.

        `timeout` is seconds to wait for the next event; None waits for ever. Raises TimeoutError.
        """
        self.call("subscribe", {"cursor": cursor})
        self._socket.settimeout(timeout)
        while True:
            answer = self._read(patient=True)
            if "event" in answer:
                yield answer["event"]

    def _read(self, *, patient: bool = False) -> dict[str, Any]:
        seen = 0
        while (end := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            if seen >= LARGEST_ANSWER:
                raise AgentNotReachable(f"{self.path}: an answer of more than {LARGEST_ANSWER} bytes")
            try:
                data = self._socket.recv(_CHUNK)
            except TimeoutError as error:
                if patient:
                    raise
                raise AgentNotReachable(f"{self.path}: no answer within {self._socket.gettimeout()} s") from error
            except OSError as error:
                raise AgentNotReachable(f"{self.path}: {error.strerror or error}") from error
            if not data:
                raise AgentNotReachable(f"{self.path}: the agent closed the connection")
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise AgentNotReachable(f"{self.path}: what answers is no agent: {error}") from error
        if not isinstance(answer, dict):
            raise AgentNotReachable(f"{self.path}: what answers is no agent")
        return answer
