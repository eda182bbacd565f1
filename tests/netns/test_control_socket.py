"""Who may speak to an agent: nobody but its owner; and what the real one does with what is no request."""

from __future__ import annotations

import errno
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kactl_agent.control import protocol
from support.agents import START, Agent, agents, instance
from support.netns import Network, network

pytestmark = pytest.mark.root
NOBODY = 65534


@pytest.fixture
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


def connect_as(user: int, path: Path) -> int:
    """0, or the error, of a process of this user that connects."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            code = socket.socket(socket.AF_UNIX).connect_ex(str(path))
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_other_users_are_refused(net: Network) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)  # the socket itself is all that keeps others out
        one = Agent(net.nodes[0], directory / "one", instance())
        with agents(one):
            one.wait_running()
            path = one.run_dir / "agent.sock"
            assert connect_as(0, path) == 0
            assert connect_as(NOBODY, path) == errno.EACCES
            for kept in ("journal.0", "journal.1"):
                assert (one.run_dir / kept).stat().st_mode & 0o077 == 0, "what the agent knows is nobody else's"


def test_what_is_no_request_is_answered_as_that_and_the_agent_goes_on(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", instance())
    chance = random.Random(1)
    with agents(one):
        one.wait_running()
        pid = one.pid_of("observer")
        for size in (1, 10, 1000, protocol.LARGEST_REQUEST - 1, protocol.LARGEST_REQUEST, 1 << 20):
            for end in (b"\n", b""):
                data = bytes(byte if byte != 10 else 0 for byte in chance.randbytes(size)) + end
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(START)
                    client.connect(str(one.run_dir / "agent.sock"))
                    try:
                        client.sendall(data)
                        if end or size >= protocol.LARGEST_REQUEST:
                            answer = client.recv(65536)
                            assert b'"error"' in answer
                            assert answer.endswith(b"\n")
                    except (BrokenPipeError, ConnectionResetError):
                        assert size >= protocol.LARGEST_REQUEST
        assert one.status() is not None
        assert one.pid_of("observer") == pid
        assert "Traceback" not in one.log
        assert "unexpected" not in one.log
