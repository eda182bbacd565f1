"""The command's frame: lazy commands, exit codes, streams."""

from __future__ import annotations

import io
import os
import subprocess
import sys
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
def test_every_command_has_help_with_an_example(name: str) -> None:
    env = environment()
    assert run([name, "--help"], env) == ExitCode.FINE
    out, _ = texts(env)
    assert f"Example: kactl {name}" in " ".join(out.split())


def test_every_command_is_a_click_command() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        assert isinstance(cli.get_command(context, name), click.Command)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chekc"], "Did you mean check?"),
        (["zzz"], "No such command"),
        (["check"], "Missing argument"),
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
