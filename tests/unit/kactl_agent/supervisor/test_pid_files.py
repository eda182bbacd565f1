from __future__ import annotations

from pathlib import Path

import pytest

from kactl_agent.supervisor.pid_files import PidFiles

PROCESSES = ("agent", "vrrp", "checkers", "bfd")


def found(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*.pid")}


@pytest.mark.parametrize(
    ("own_directory", "instance", "names"),
    [
        (False, "", {"vrrp": "vrrp.pid", "checkers": "checkers.pid", "bfd": "bfd.pid"}),
        (True, "", {name: f"kactl/{name}.pid" for name in PROCESSES}),
        (False, "one", {name: f"kactl/{name}_one.pid" for name in PROCESSES}),  # keepalived: instance implies it
        (True, "one", {name: f"kactl/{name}_one.pid" for name in PROCESSES}),
    ],
)
def test_names(tmp_path: Path, own_directory: bool, instance: str, names: dict[str, str]) -> None:
    files = PidFiles(tmp_path, {}, own_directory=own_directory, instance=instance)
    assert [files.write(process, number) for number, process in enumerate(PROCESSES, 7)] == [""] * 4
    assert found(tmp_path) == {names[p]: f"{n}\n" for n, p in enumerate(PROCESSES, 7) if p in names}
    for name in names.values():
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644
    files.remove("vrrp")
    assert names["vrrp"] not in found(tmp_path)
    files.close()
    assert list(tmp_path.iterdir()) == []


def test_paths_of_the_command_line_count(tmp_path: Path) -> None:
    said = {"agent": tmp_path / "a", "vrrp": tmp_path / "v"}
    files = PidFiles(tmp_path / "run", said, own_directory=True)
    (tmp_path / "run").mkdir()
    assert [files.write(process, 1) for process in PROCESSES] == [""] * 4
    assert (tmp_path / "a").read_text() == (tmp_path / "v").read_text() == "1\n"
    assert set(found(tmp_path)) == {"run/kactl/checkers.pid", "run/kactl/bfd.pid"}


def test_a_link_is_replaced_and_what_goes_wrong_is_said(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "vrrp.pid").symlink_to(victim)
    files = PidFiles(tmp_path, {"bfd": tmp_path / "no" / "bfd.pid"})
    assert files.write("vrrp", 3) == ""
    assert victim.read_text() == "precious"
    assert files.write("bfd", 3) == f"pid file {tmp_path}/no/bfd.pid: No such file or directory"


def test_directories_of_two_agents_are_shared(tmp_path: Path) -> None:
    one, two = (PidFiles(tmp_path, {}, instance=name) for name in ("one", "two"))
    one.write("vrrp", 1)
    two.write("vrrp", 2)
    one.close()
    assert found(tmp_path) == {"kactl/vrrp_two.pid": "2\n"}
    two.close()
    assert found(tmp_path) == {}
