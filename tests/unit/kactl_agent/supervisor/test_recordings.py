from __future__ import annotations

import os
from pathlib import Path

from kactl_agent.runtime import frames
from kactl_agent.runtime.ipc import Edge, socket_pair
from kactl_agent.supervisor.recordings import Recordings
from kactl_agent.vrrp.settings import Family, VrrpSettings


def settings(name: str) -> VrrpSettings:
    return VrrpSettings(
        name=name, interface="eth0", virtual_router_id=1, version=3, family=Family.IPV4, priority=100
    )  # fmt: skip


def test_every_instance_gets_a_file_of_its_own_whatever_it_is_called(tmp_path: Path) -> None:
    said: list[str] = []
    recordings = Recordings(tmp_path / "deep" / "er", lambda level, text: said.append(f"{level}: {text}"))
    ours, theirs = (Edge(sock) for sock in socket_pair())
    recordings.open(ours, [settings("VI_1"), settings("../../etc/x"), settings(".")])
    recordings.open(ours, [settings("VI_1")])
    received = theirs.receive()
    assert [frame for frame, _ in received] == [
        frames.RecordingFile("VI_1"), frames.RecordingFile("../../etc/x"), frames.RecordingFile("."),
        frames.RecordingFile("VI_1"),
    ]  # fmt: skip
    paths = [Path(os.readlink(f"/proc/self/fd/{descriptors[0]}")) for _, descriptors in received]
    assert len(set(paths)) == 4
    assert {path.parent for path in paths} == {tmp_path / "deep" / "er"}
    for _, descriptors in received:
        os.close(descriptors[0])
    for edge in (ours, theirs):
        edge.close()
    assert said == []


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    recordings = Recordings(tmp_path / "file" / "x", lambda level, text: said.append(f"{level}: {text}"))
    ours, theirs = (Edge(sock) for sock in socket_pair())
    recordings.open(ours, [settings("VI_1")])
    assert said[0].startswith("error: VI_1 is not recorded: ")
    assert theirs.receive() == []
    Recordings(None, lambda *_: None).open(ours, [settings("VI_1")])
    for edge in (ours, theirs):
        edge.close()
