"""What commands that read a keepalived.conf let the user say about its expansion."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kactl.keepalived_conf.preprocess import ExpandOptions


def _definitions(_context: click.Context, _option: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    defines = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.isascii() or not name.isidentifier():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        defines[name] = text
    return defines


id_option = click.option(
    "--id", "config_id", metavar="ID", help="What `@ID` lines are compared with; by default this host's name."
)
define_option = click.option(
    "--define",
    "defines",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_definitions,
    help="A definition that wins over the file's own; repeatable.",
)


def _random(low: int, high: int) -> int:
    return low + secrets.randbelow(high - low + 1)


def expand_options(config_id: str | None, defines: Mapping[str, str], environment: Mapping[str, str]) -> ExpandOptions:
    """The options of one command; the config id is the host's name up to its first dot, as keepalived has it."""
    from kactl.keepalived_conf.preprocess import ExpandOptions

    return ExpandOptions(
        config_id=socket.gethostname().partition(".")[0] if config_id is None else config_id,
        defines=defines,
        environment=environment,
        random=_random,
    )
