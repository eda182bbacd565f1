"""The command's frame: lazy commands, exit codes, streams."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import click
import pytest

from kactl.app import COMMANDS, cli, run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent import __version__


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def environment(stdin: bytes = b"", **variables: str) -> Environment:
    return Environment(io.BytesIO(stdin), io.StringIO(), io.StringIO(), variables)


def texts(env: Environment) -> tuple[str, str]:
    assert isinstance(env.stdout, io.StringIO)
    assert isinstance(env.stderr, io.StringIO)
    return env.stdout.getvalue(), env.stderr.getvalue()


def test_version() -> None:
    env = environment()
    assert run(["--version"], env) == ExitCode.FINE
    assert texts(env) == (f"kactl {__version__}\n", "")


def test_version_and_help_import_no_command_no_schema_and_no_rich() -> None:
    code = (
        "import sys; from kactl.app import run; run(sys.argv[1:]);"
        "heavy = ('rich', 'yaml', 'msgspec', 'kactl.commands', 'kactl_agent.config.schema');"
        "print([m for m in sys.modules if m.startswith(heavy)])"
    )
    for option in ("--version", "--help"):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_that_works(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # an example is on one line all the same, to be copied
    env = environment()
    assert run([name, "--help"], env) == ExitCode.FINE
    example = next(line for line in texts(env)[0].splitlines() if "Example: " in line).partition("Example: ")[2]
    kactl_, command, *arguments = shlex.split(re.split(r" [|>] ", example)[0])
    assert (kactl_, command) == ("kactl", name)
    chosen = cli.get_command(click.Context(cli), name)
    assert chosen is not None
    chosen.make_context(name, arguments)


def test_without_a_command_the_help_is_what_is_said() -> None:
    env = environment()
    assert run([], env) == ExitCode.USAGE
    out, err = texts(env)
    assert out == ""
    assert err.startswith("Usage: kactl")
    assert "Example: kactl convert" in err


def test_every_command_is_a_click_command() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        assert isinstance(cli.get_command(context, name), click.Command)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chekc"], "Did you mean check?"),
        (["zzz"], "No such command"),
        (["check"], "Say which FILE"),
        (["check", "--nonsense", "x"], "No such option"),
        (["check", "--output", "xml", "x"], "xml"),
    ],
)
def test_usage(arguments: list[str], said: str) -> None:
    env = environment()
    assert run(arguments, env) == ExitCode.USAGE
    out, err = texts(env)
    assert out == ""
    assert said in err
    assert "Usage: kactl" in err


def test_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    env = Environment(Interrupting(), io.StringIO(), io.StringIO(), {})
    assert run(["check", "-"], env) == ExitCode.INTERRUPTED


def test_colours_only_on_terminals_that_want_them() -> None:
    terminal, file = Terminal(), io.StringIO()
    for variables, stream, wanted in (
        ({}, terminal, True),
        ({}, file, False),
        ({"NO_COLOR": "1"}, terminal, False),
        ({"NO_COLOR": ""}, terminal, True),
        ({"TERM": "dumb"}, terminal, False),
    ):
        env = Environment(io.BytesIO(), stream, stream, variables)
        assert env.colour(stream) is wanted
        assert (env.paint(stream)("error", "x") == "x") is not wanted


def kactl(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "kactl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, **options)


CONVERTED = "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n state Master\n}\n"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "a.conf"
    path.write_text(CONVERTED)
    return path


def shell(redirection: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    script = f'exec "$0" -m kactl "$@" {redirection}'
    return subprocess.run(["sh", "-c", script, sys.executable, *map(str, arguments)], capture_output=True, check=False)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_talk_that_nobody_hears_stops_nothing(conf: Path, tmp_path: Path, redirection: str) -> None:
    done = shell(redirection, "convert", conf, "-o", tmp_path / "a.yaml")
    assert (done.returncode, done.stdout) == (ExitCode.FINE, b"")
    assert "state: BACKUP" in (tmp_path / "a.yaml").read_text()


def test_listeners_that_go_away_stop_nothing(conf: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as err:
        command = [sys.executable, "-m", "kactl", "convert", str(conf), "-o", str(tmp_path / "a.yaml")]
        assert subprocess.run(command, stderr=err, check=False).returncode == ExitCode.FINE
    assert (tmp_path / "a.yaml").exists()


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["convert", "{conf}"]])
def test_data_that_nobody_takes_is_a_failure(conf: Path, redirection: str, arguments: list[str]) -> None:
    done = shell(redirection, *(argument.format(conf=conf) for argument in arguments))
    assert done.returncode == ExitCode.FAILED
    assert done.stderr.count(b"kactl: standard output: ") == 1
    assert b"Traceback" not in done.stderr


def test_a_standard_input_that_is_closed() -> None:
    done = shell("<&-", "convert", "-")
    assert done.returncode == ExitCode.INVALID
    assert b"cannot be read" in done.stderr


def test_ctrl_c_while_it_waits_for_input() -> None:
    command = [sys.executable, "-m", "kactl", "convert", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"#")
        process.stdin.flush()
        while fionread(process.stdin.fileno()):  # it has begun to read
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        talk = process.stderr.read()
        assert process.wait() == ExitCode.INTERRUPTED
    assert talk.strip() == b"interrupted"


def test_ctrl_c_before_there_is_a_command() -> None:
    code = (
        "import sys, signal, kactl.__main__ as main\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'kactl.app': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.INTERRUPTED, b"", b"")


def fionread(descriptor: int) -> int:
    """How many bytes a pipe holds that have not been read."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_excerpts_fit_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "long.conf"
    path.write_text(f"vrrp_instance V {{\n interface eth0\n state {'x' * 60} {'y' * 60}\n}}\n")
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 50))
    command = [sys.executable, "-m", "kactl", "check", str(path)]
    said = b""
    with os.fdopen(controller, "rb", buffering=0) as shown:
        with os.fdopen(terminal, "wb") as err:
            subprocess.run(command, stderr=err, check=False, env={**os.environ, "NO_COLOR": "1"})
        with contextlib.suppress(OSError):  # nobody holds the other end any more: that was all
            while part := shown.read(65536):  # a terminal passes on what is written to it piece by piece
                said += part
    lines = said.decode().splitlines()
    excerpts = [line for line in lines if re.match(r" +\d* \|", line)]
    assert len(excerpts) >= 2
    assert max(map(len, excerpts)) <= 50


def test_a_reader_that_goes_away() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "kactl", "schema"], stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == b""


def test_a_full_disk() -> None:
    with Path("/dev/full").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "kactl", "schema"], stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == ExitCode.FAILED
    assert b"Traceback" not in done.stderr
    assert b"No space left" in done.stderr


def test_output_is_utf8_in_any_locale(tmp_path: Path) -> None:
    path = tmp_path / "naïve.yaml"
    path.write_text("名前: 1\n")
    variables = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = kactl("check", "--output", "json", path, env=variables)
    assert done.returncode == ExitCode.INVALID
    assert "名前" in done.stdout.decode()
