from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kactl_agent.runtime.sdnotify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_states(tmp_path: Path, abstract: bool) -> None:
    address = f"@kactl-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if abstract else address)
        notifier = Notifier(address)
        notifier.ready("fine")
        assert listener.recv(1000) == f"READY=1\nMAINPID={os.getpid()}\nSTATUS=fine".encode()
        notifier.reloading()
        assert listener.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        notifier.stopping()
        assert listener.recv(1000).startswith(b"STOPPING=1\n")


def test_nobody_listens(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "none")).ready("x")
    Notifier(None).ready("x")


def test_children_do_not_inherit_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/x")
    Notifier.from_environment()
    assert "NOTIFY_SOCKET" not in os.environ
