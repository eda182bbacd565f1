"""The control server under any behaviour of any number of clients: those that behave are served, whatever others do."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from kactl_agent.control import protocol
from kactl_agent.control.client import ControlClient
from kactl_agent.control.protocol import SOCKET_NAME, ControlError
from support.control_agent import FakeService, serve

METHODS = st.sampled_from([*protocol.METHODS, "nonsense", "", "__class__", "status\n"])
ANY_TEXT = st.text(max_size=20) | st.text(st.characters(), max_size=5)  # of the second, half surrogate pairs too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
PARAMS = st.dictionaries(
    st.sampled_from(["cursor", "limit", "subject", "event", "target", "all", "ttl_s", "reason", "require_peer", "x"]),
    JSON,
    max_size=4,
)
REQUESTS = st.fixed_dictionaries({"id": JSON, "method": METHODS, "params": PARAMS | JSON})
LINES = st.one_of(
    REQUESTS.map(lambda request: json.dumps(request).encode() + b"\n"),
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda data: data + b"\n"),
    st.just(b'{"id":1,"method":"status"}\n' * 500),
    st.just(b"[" * 50_000 + b"\n"),
    st.just(b"x" * protocol.LARGEST_REQUEST),
    st.just(b'{"id":1,"method":"subscribe"}\n'),
    st.just(b'{"id":' + b"9" * 5000 + b',"method":"ping"}\n'),
    st.just(b'{"id":"\\ud800","method":"ping"}\n'),
    st.just(b'{"id":1,"method":"reload","params":{"file":"/caf\\udce9.yaml"}}\n'),
)


class Clients(RuleBasedStateMachine):
    """Connections that do anything; after every step somebody else asks for something and gets it."""

    connections = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._run_dir = Path(self._directory.name)
        self._service = FakeService({"schema_version": 1, "padding": "x" * 1000})
        self._serving = serve(self._run_dir, self._service)
        self._loop = self._serving.__enter__()
        self._sockets: set[socket.socket] = set()

    @rule(target=connections)
    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(self._run_dir / SOCKET_NAME))
        made.setblocking(False)
        self._sockets.add(made)
        return made

    @rule(connection=connections, data=LINES)
    def say(self, connection: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # let go, or its buffer is full
            connection.send(data)

    @rule(connection=connections, data=LINES)
    def say_in_pieces(self, connection: socket.socket, data: bytes) -> None:
        for start in range(0, min(len(data), 300), 7):
            with contextlib.suppress(OSError):
                connection.send(data[start : start + 7])

    @rule(connection=connections)
    def read(self, connection: socket.socket) -> None:
        """Whatever comes is lines of JSON, as far as they are whole."""
        data = b""
        with contextlib.suppress(OSError):
            while chunk := connection.recv(65536):
                data += chunk
        for line in data.split(b"\n")[1:-1]:
            assert isinstance(json.loads(line), dict)

    @rule(connection=connections)
    def say_no_more(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)

    @rule(connection=consumes(connections))
    def leave(self, connection: socket.socket) -> None:
        self._sockets.discard(connection)
        connection.close()

    @rule()
    def something_happens(self) -> None:
        self._loop.call_soon_threadsafe(lambda: self._service.journal.append("x", 0, padding="y" * 1000))

    @invariant()
    def others_are_served(self) -> None:
        deadline = time.monotonic() + 30
        while (code := self._ask()) and time.monotonic() < deadline:
            # the places are taken: one of those who have them goes (and is counted still for a moment)
            assert code == protocol.TOO_MANY_CLIENTS
            if self._sockets:
                self._sockets.pop().close()
        assert not code

    def _ask(self) -> str:
        """The code of the error, "" when all is well."""
        try:
            with ControlClient(self._run_dir, timeout=30) as client:
                assert client.call("ping") == "pong"
                assert client.call("status")["schema_version"] == 1
        except ControlError as refusal:
            return refusal.code
        return ""

    def teardown(self) -> None:
        for each in self._sockets:
            each.close()
        self._serving.__exit__(None, None, None)
        self._directory.cleanup()


TestClients: Any = Clients.TestCase
TestClients.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
