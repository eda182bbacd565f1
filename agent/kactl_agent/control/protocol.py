"""The control protocol: newline-delimited JSON over the agent's Unix socket.

Request   {"id": 1, "method": "status", "params": {}}
Response  {"id": 1, "result": ...}  or  {"id": 1, "error": {"code": "...", "message": "...", "data": {}}}
Event     {"event": {"cursor": "...", "time": "...", "type": "...", ...}}  after `subscribe`

Only the standard library is imported here: the command line client pays for every import.
"""

from __future__ import annotations

import json
from typing import Any

PROTOCOL_VERSION = 1
SOCKET_NAME = "agent.sock"

LARGEST_REQUEST = 64 * 1024  # bytes, line feed included
LARGEST_ANSWER = 64 * 1024 * 1024  # bytes, line feed included
LARGEST_BACKLOG = 4 * 1024 * 1024  # bytes a client may leave unread before there is something more to say to it
ANSWER_SECONDS = 60.0  # until a method is answered with an error, however long it goes on
MOST_CLIENTS = 64
MOST_EVENTS = 1000  # in one answer

METHODS: dict[str, tuple[str, ...]] = {
    # of the connection itself
    "ping": (),
    "version": (),
    "events": ("cursor", "limit"),
    "subscribe": ("cursor",),
    # of the agent
    "status": (),
    "why": ("subject", "event"),
    "drain": ("target", "all", "reason", "ttl_s", "require_peer"),
    "undrain": ("target", "all"),
    "reload": ("file", "confirm_s"),
    "dump": ("what", "files"),
    "plan": ("file",),
    "check_run": ("virtual_server", "real_server", "checker"),
    "real_server": ("virtual_server", "real_server", "weight", "drained", "reset", "reason", "ttl_s"),
    "confirm": ("revision",),
    "rollback": ("revision",),
}
"""Every method there is, with the parameters it knows. Others are refused: a wish that is not understood must not be
taken for a smaller one (a reload that was to be confirmed)."""

BAD_REQUEST = "bad-request"
TOO_LARGE = "request-too-large"
ANSWER_TOO_LARGE = "answer-too-large"
TOO_MANY_CLIENTS = "too-many-clients"
UNKNOWN_METHOD = "unknown-method"
BAD_PARAMS = "bad-params"
NOT_READY = "not-ready"
RELOAD_FAILED = "reload-failed"
CONFIGURATION_INVALID = "configuration-invalid"
PLAN_FAILED = "plan-failed"
CONFIRM_FAILED = "nothing-to-confirm"
DRAIN_FAILED = "drain-failed"
DUMP_FAILED = "dump-failed"
UNKNOWN_SUBJECT = "unknown-subject"
INTERNAL = "internal-error"


class ControlError(Exception):
    """An error as it stands in a response. `code` is stable."""

    def __init__(self, code: str, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data or {}


class Request:
    """A request that has been read."""

    __slots__ = ("id", "method", "params")

    def __init__(self, identity: int | str | None, method: str, params: dict[str, Any]) -> None:
        self.id = identity
        self.method = method
        self.params = params


class Parameters:
    """What a request says besides its method. Reading what is not as it should be raises ControlError."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise ControlError(BAD_PARAMS, f"{name} is a string")
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not (value == default or least <= value <= most):
            raise ControlError(BAD_PARAMS, f"{name} is a number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise ControlError(BAD_PARAMS, f"{name} is true or false")
        return value


def decode_request(line: bytes) -> Request:
    """Raises ControlError; its data has the request's id where one could be read."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError(BAD_REQUEST, f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ControlError(BAD_REQUEST, "a request is a JSON object")
    identity, method, params = value.get("id"), value.get("method"), value.get("params", {})
    if isinstance(identity, bool) or not isinstance(identity, int | str | None):
        raise ControlError(BAD_REQUEST, "id is a number or a string")
    if not is_text(identity):
        raise ControlError(BAD_REQUEST, "id holds half a surrogate pair, which is no character")
    if not isinstance(method, str):
        raise ControlError(BAD_REQUEST, "method is missing or no string", {"id": identity})
    if not isinstance(params, dict):
        raise ControlError(BAD_REQUEST, "params is a JSON object", {"id": identity})
    for name, said in params.items():
        if not is_text((name, said)):
            text = f"{name[:64]!a} holds half a surrogate pair, which is no character"
            raise ControlError(BAD_PARAMS, text, {"id": identity})
    return Request(identity, method, params)


def is_text(value: Any) -> bool:
    """Whether all strings of a JSON value are characters. JSON spells halves of surrogate pairs too, which stand for
    no text; so does Python for bytes of a name that are no UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def encode_result(identity: int | str | None, result: Any) -> bytes:
    return _line({"id": identity, "result": result})


def encode_error(identity: int | str | None, error: ControlError) -> bytes:
    return _line({"id": identity, "error": {"code": error.code, "message": error.message, "data": error.data}})


def encode_event(event: dict[str, Any]) -> bytes:
    return _line({"event": event})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
