"""kactl-agent as a process: exit codes, locks, signals, privileges."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents import SLACK, START, Agent, agents, instance
from support.netns import Network, network, wait_for

pytestmark = pytest.mark.root

AGENT = (sys.executable, "-m", "kactl_agent")
# alone, and yet BACKUP for minutes: however long a test takes, its agent does not become MASTER meanwhile
WAITING = instance(advert_int=100, virtual_ipaddress=["198.51.100.100/24"])


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    with network(1) as made:
        yield made


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AGENT, *arguments], capture_output=True, text=True, check=False, timeout=60, **options)


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    path = tmp_path / "valid.yaml"
    path.write_text(json.dumps(instance(virtual_ipaddress=["198.51.100.100/24"])))
    return path


def test_second_start_exits_4_and_harms_nobody(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", WAITING)
    with agents(one):
        one.wait_state("BACKUP", SLACK)
        again = net.nodes[0].run(
            *AGENT, "--config", str(one.config), "--run-dir", str(one.run_dir), stderr=subprocess.PIPE
        )
        _out, said = again.communicate(timeout=START)
        assert again.returncode == 4
        assert "running already" in said
        assert str(one.process.pid) in said
        assert one.state() == "BACKUP"
        assert stat.S_IMODE((one.run_dir / "agent.sock").stat().st_mode) == 0o600
        assert one.stop() == 0


def test_stale_files_are_taken_over(net: Network, tmp_path: Path) -> None:
    run_dir = tmp_path / "one" / "run"
    run_dir.mkdir(parents=True)
    (run_dir / "agent.pid").write_text(f"{os.getpid()}\n")  # alive, but no agent: existence decides nothing
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(run_dir / "agent.sock"))
    stale.close()
    one = Agent(net.nodes[0], tmp_path / "one", WAITING)
    with agents(one):
        one.wait_state("BACKUP", SLACK)
        assert int((run_dir / "agent.pid").read_text()) == one.process.pid


def test_a_second_sigterm_changes_nothing(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", WAITING)
    with agents(one):
        one.wait_state("BACKUP", SLACK)
        for _ in range(5):
            one.process.send_signal(signal.SIGTERM)
            one.process.send_signal(signal.SIGINT)
        assert one.process.wait(START) == 0
        assert one.log.count("stopping") == 1


@pytest.mark.parametrize(("lacks", "has"), [("NET_RAW", "NET_ADMIN"), ("NET_ADMIN", "NET_RAW")])
def test_missing_privilege_exits_5_and_names_the_capability(valid: Path, tmp_path: Path, lacks: str, has: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give one capability up")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    drop = ("setpriv", "--bounding-set", f"-{lacks.lower()}", "--inh-caps", f"-{lacks.lower()}")
    done = subprocess.run(
        [*drop, *AGENT, "--config", str(valid), "--run-dir", str(tmp_path / "run")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert f"CAP_{lacks}" in done.stderr
    assert f"CAP_{has}" not in done.stderr
    assert "Traceback" not in done.stderr


def test_scripts_of_other_users_need_privileges_too(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give some capabilities up")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    tracked = instance(virtual_ipaddress=["198.51.100.100/24"], track_script=["chk"])
    path = tmp_path / "tracked.yaml"
    path.write_text(json.dumps(tracked | {"vrrp_script": {"chk": {"script": "/bin/true", "user": "nobody"}}}))
    drop = ("setpriv", "--bounding-set", "-setuid,-kill", "--inh-caps", "-setuid,-kill")
    done = subprocess.run(
        [*drop, *AGENT, "--config", str(path), "--run-dir", str(tmp_path / "run")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "running vrrp_script chk as another user needs CAP_SETUID and CAP_KILL" in done.stderr


@pytest.mark.parametrize(
    ("text", "code"),
    [("vrrp_instance: {A: {interfac: eth0}}", 3), ("{", 3), ("\0\1\2", 3), ("", 3), ("{}", 0)],
)
def test_check(tmp_path: Path, text: str, code: int) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    done = run("--config", str(path), "--check")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert "error[" in done.stderr


def test_a_missing_file_is_an_invalid_configuration(tmp_path: Path) -> None:
    for extra in ((), ("--check",)):
        done = run("--config", str(tmp_path / "none.yaml"), "--run-dir", str(tmp_path / "run"), *extra)
        assert done.returncode == 3
        assert "Traceback" not in done.stderr


def test_a_run_directory_that_cannot_be_made(valid: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("--config", str(valid), "--run-dir", str(tmp_path / "file" / "run"))
    assert done.returncode == 1
    assert "run directory" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--config",), ("--config", "x", "--only", "snmp"), ("--frobnicate",)])
def test_usage(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).returncode == 2


def test_an_unknown_namespace(valid: Path, tmp_path: Path) -> None:
    done = run("--config", str(valid), "--run-dir", str(tmp_path / "run"), "--namespace", "C-no-such")
    assert done.returncode == (1 if os.geteuid() == 0 else 5)
    assert "C-no-such" in done.stderr


def test_namespace_option(net: Network, valid: Path, tmp_path: Path) -> None:
    options = ("--run-dir", str(tmp_path / "run"), "--namespace", net.nodes[0].namespace, "--log-format", "json")
    process = subprocess.Popen([*AGENT, "--config", str(valid), *options], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: net.nodes[0].has("198.51.100.100/24"), START + SLACK, "master in the namespace")
        process.terminate()
        assert process.wait(START) == 0
    finally:
        process.kill()
        process.communicate()


def test_only_without_vrrp_says_so(net: Network, tmp_path: Path) -> None:
    one = Agent(
        net.nodes[0], tmp_path / "one", instance(virtual_ipaddress=["198.51.100.100/24"]), "--only", "checkers,bfd"
    )
    with agents(one):
        wait_for(one.status, START, "the control socket")
        assert one.pid_of("vrrp") == 0
        assert "--only bfd, checkers" in one.log
        assert one.stop() == 0


def test_workers_keep_only_what_they_need(net: Network, tmp_path: Path) -> None:
    one = Agent(net.nodes[0], tmp_path / "one", WAITING)
    with agents(one):
        one.wait_state("BACKUP", SLACK)

        def status_of(process: str) -> dict[str, str]:
            lines = Path(f"/proc/{one.pid_of(process)}/status").read_text().splitlines()
            return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

        vrrp, observer = status_of("vrrp"), status_of("observer")
        assert int(vrrp["CapEff"], 16) == int(vrrp["CapPrm"], 16) == 1 << 12 | 1 << 13
        assert int(observer["CapEff"], 16) == int(observer["CapPrm"], 16) == 0
        assert vrrp["NoNewPrivs"] == observer["NoNewPrivs"] == "1"
        assert observer["Uid"].split()[0] == "65534"
        modules = Path(f"/proc/{one.pid_of('vrrp')}/maps").read_text()
        assert "_yaml" not in modules, "parsers live in the loading process alone"
        assert one.stop() == 0


def test_sd_notify(net: Network, valid: Path, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(START)
    process = net.nodes[0].run(
        *AGENT, "--config", str(valid), "--run-dir", str(tmp_path / "run"),
        env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ready = listener.recv(1000).decode()
        assert ready.splitlines()[:2] == ["READY=1", f"MAINPID={process.pid}"]
        process.send_signal(signal.SIGHUP)
        assert listener.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert listener.recv(1000).startswith(b"READY=1\n")
        process.terminate()
        assert listener.recv(1000).startswith(b"STOPPING=1\n")
        assert process.wait(START) == 0
    finally:
        process.kill()
        process.wait()
        listener.close()
