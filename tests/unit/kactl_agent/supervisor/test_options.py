from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kactl_agent.supervisor.options import parse


def test_defaults() -> None:
    options = parse(["--config", "/etc/kactl/agent.yaml"])
    assert options.run_dir == Path("/run/kactl")
    assert options.only == {"vrrp", "checkers", "bfd"}
    assert (options.respawn, options.check, options.keep_vips) == (True, False, False)


def test_everything() -> None:
    line = (
        "--config a.yaml --run-dir /r --log-level debug --log-detail --log-format journal --check --only vrrp,bfd"
        " --config-id lb1 --namespace blue --keep-vips --keep-ipvs --no-respawn"
    )
    options = parse(line.split())
    assert (options.run_dir, options.log_level, options.log_format) == (Path("/r"), "debug", "journal")
    assert (options.only, options.config_id, options.namespace) == ({"vrrp", "bfd"}, "lb1", "blue")
    assert (options.log_detail, options.check, options.keep_vips, options.keep_ipvs) == (True,) * 4
    assert options.respawn is False


@pytest.mark.parametrize(
    "arguments", ["", "--config", "--config a --only x", "--config a --only ,", "--conf a", "--config a b"]
)
def test_usage_errors_exit_2(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments.split())
    assert caught.value.code == 2
    capsys.readouterr()


def test_a_configuration_whose_name_nobody_can_say_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--config", "/caf\udce9.yaml"])
    assert caught.value.code == 2
    assert "argument --config: the name '/caf\\udce9.yaml' holds bytes that are no UTF-8" in capsys.readouterr().err
    assert parse(["--config", "/café.yaml"]).config == Path("/café.yaml")


def test_version_imports_next_to_nothing() -> None:
    """What makes it quick; tests/benchmarks has the figure."""
    program = (
        "import sys, kactl_agent.__main__ as entry\n"
        "sys.argv = ['kactl-agent', '--version']\n"
        "try:\n    entry.main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('asyncio', 'msgspec', 'yaml', 'socket', 'subprocess') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    version, heavy = done.stdout.splitlines()
    assert version.startswith("kactl-agent ")
    assert heavy == "[]"


def test_workers_import_no_parser_and_no_netlink_library() -> None:
    program = (
        "import sys, kactl_agent.supervisor.main;"
        "print([m for m in sys.modules if m.split('.')[0] in {'yaml', 'ruamel', 'pyroute2', 'scapy', 'click', 'rich'}"
        " or m.startswith('kactl_agent.config')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
