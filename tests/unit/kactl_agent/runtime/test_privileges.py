from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kactl_agent.runtime import privileges
from kactl_agent.runtime.privileges import Capability


def in_child(function: Callable[[], bool]) -> bool:
    """Whether the function returns true in a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if function() else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_what_is_missing_is_what_the_kernel_says() -> None:
    effective = int(status()["CapEff"], 16)
    expected = [capability for capability in Capability if not effective >> capability & 1]
    assert privileges.missing_capabilities(Capability) == expected


def test_nothing_is_kept_of_nothing() -> None:
    def child() -> bool:
        privileges.keep_only(())
        now = status()
        return {now[key].strip("0") for key in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {""} and now[
            "NoNewPrivs"
        ] == "1"

    assert in_child(child)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_only_what_is_named_is_kept() -> None:
    def child() -> bool:
        privileges.keep_only([Capability.CAP_NET_RAW])
        now = status()
        return int(now["CapEff"], 16) == int(now["CapPrm"], 16) == int(now["CapBnd"], 16) == 1 << Capability.CAP_NET_RAW

    assert in_child(child)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_becoming_nobody_loses_everything() -> None:
    def child() -> bool:
        became = privileges.become_nobody()
        now = status()
        return (
            became and now["Uid"].split() == ["65534"] * 4 and not now["Groups"].split() and not int(now["CapPrm"], 16)
        )

    assert in_child(child)


def test_a_child_whose_parent_is_gone_already_ends() -> None:
    pid = os.fork()
    if pid == 0:
        privileges.die_with_parent(1 << 22)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == 15


def test_an_unknown_namespace() -> None:
    with pytest.raises(OSError):
        privileges.enter_network_namespace("C-none")
