"""Commands with the identity they run as: notify scripts, FIFO readers, startup and shutdown scripts, `user` lines."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import Keyword, Keywords
from kactl_agent.config.schema.shapes import Command, Maybe, Text


class UserGroup(Keywords, frozen=True, kw_only=True):
    """The identity a script runs as: `USER [GROUP]`."""

    user: Annotated[Maybe[str], Keyword(Text("user"), "User name or number", position=0, required=True)] = UNSET
    group: Annotated[
        Maybe[str], Keyword(Text("group"), "Group name or number", position=1, default="the user's own group")
    ] = UNSET


class Script(Keywords, frozen=True, kw_only=True):
    """A command and, optionally, who runs it: `COMMAND [USER [GROUP]]`."""

    command: Annotated[
        Maybe[str],
        Keyword(
            Command(),
            "Absolute path of the program; with arguments, the whole is one quoted word",
            position=0,
            required=True,
        ),
    ] = UNSET
    user: Annotated[
        Maybe[str],
        Keyword(Text("user"), "User name or number the command runs as", position=1, default="script_user"),
    ] = UNSET
    group: Annotated[
        Maybe[str],
        Keyword(Text("group"), "Group name or number the command runs as", position=2, default="the user's own group"),
    ] = UNSET
