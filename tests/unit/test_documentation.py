"""What the documentation shows is so: configurations are valid; commands, options and linked files exist."""

from __future__ import annotations

import io
import re
import textwrap
from pathlib import Path

import click
import pytest

from kactl.app import COMMANDS, cli, run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.control.protocol import METHODS
from kactl_agent.supervisor.options import _parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
OF_ANSIBLE = re.compile(r"^[\s-]*(hosts|plugin|all):", re.M)


def blocks(page: Path, *languages: str) -> list[tuple[int, str]]:
    """(line, text) of each fenced block in one of these languages."""
    text = page.read_text(encoding="utf-8")
    found = [(text.count("\n", 0, match.start()) + 2, match) for match in FENCE.finditer(text)]
    return [(line, textwrap.dedent(match[3])) for line, match in found if match[2] in languages]


CONFIGURATIONS = [
    pytest.param(text, id=f"{page.name}:{line}")
    for page in PAGES
    for line, text in blocks(page, "yaml")
    if not OF_ANSIBLE.search(text)
]


def test_there_are_configurations() -> None:
    assert len(CONFIGURATIONS) >= 10


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_configuration_is_valid_as_it_stands(text: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    code = run(["check", "--no-secrets", "-"], Environment(io.BytesIO(text.encode()), out, err, {}))
    assert code == ExitCode.FINE, err.getvalue()
    assert "warning" not in err.getvalue(), err.getvalue()


def command_lines(page: Path) -> list[tuple[str, list[str]]]:
    """(program, its arguments) of every kactl and kactl-agent that stands in a block of shell or in backquotes."""
    text = page.read_text(encoding="utf-8")
    shell = "\n".join(block for _, block in blocks(page, "sh", "console", "text"))
    quoted = "\n".join(re.findall(r"`([^`\n]+)`", FENCE.sub("", text)))
    found = []
    for line in (shell + "\n" + quoted).splitlines():
        match = re.match(r"(?:[\w-]*[$#] )?(?:sudo )?(kactl|kactl-agent) (.*)", line.strip())
        if match is not None:
            found.append((match[1], re.sub(r"\s#.*", "", match[2]).split()))
    return found


def _options_of(program: str, arguments: list[str]) -> set[str]:
    """The options that this command has. A command that does not exist fails the test."""
    if program == "kactl-agent":
        return set(_parser()._option_string_actions)
    command: click.Command = cli
    path = [word for word in arguments if not word.startswith("-")]
    context = click.Context(cli)
    while isinstance(command, click.Group) and path:
        name = path.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"`{name}` is no command of {command.name}"
        command = found
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "-h",
        "--help",
        "--version",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    for program, arguments in command_lines(page):
        words = [word.strip("[]") for word in arguments]
        if not words or "|" in words[0]:
            continue
        there = _options_of(program, words)
        for word in words:
            if word == "|":
                break
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in there, f"{program} {' '.join(arguments)}: {word}"


def test_each_command_and_method_is_named_in_the_operations_page() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert not [name for name in COMMANDS if f"kactl {name}" not in page]
    listed = page.partition("\nMethods: ")[2].partition("\n\n")[0]
    assert not [name for name in METHODS if f"`{name}`" not in listed]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_linked_exists(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, _ = target.partition("#")
        if path and "://" not in path:
            assert (page.parent / path).exists(), f"{page.name} links {target}"


def test_every_page_is_in_the_navigation_and_on_the_first_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    first = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f": {page.name}\n" in navigation
        assert page.name == "index.md" or f"]({page.name})" in first, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_of_make_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lanes = re.search(r"^LANES := (.*)$", makefile, re.M)
    assert lanes is not None
    targets = {*re.findall(r"^([a-z-]+):", makefile, re.M), *lanes[1].split()}
    named = re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.M)
    assert set(named) <= targets
