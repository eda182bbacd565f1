"""vrrp_script, track_file, vrrp_track_process, track_bfd and the lines that use them: what moves priorities and weights."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import FLAG, BlockKeywords, Keyword, Keywords
from kactl_agent.config.schema.shapes import Command, Duration, Integer, Line, Maybe, Text


class UserGroup(Keywords, frozen=True, kw_only=True):
    """The identity a script runs as."""

    user: Annotated[Maybe[str], Keyword(Text("user"), "User name or number", position=0, required=True)] = UNSET
    group: Annotated[
        Maybe[str], Keyword(Text("group"), "Group name or number", position=1, default="the user's own group")
    ] = UNSET


class ScriptWeight(Keywords, frozen=True, kw_only=True):
    """A weight that may count the other way round."""

    weight: Annotated[
        Maybe[int], Keyword(Integer(-253, 253), "Priority change; 0 makes a failure a FAULT", position=0, required=True)
    ] = UNSET
    reverse: Annotated[Maybe[bool], Keyword(FLAG, "Count success as failure and failure as success")] = UNSET


class VrrpScript(BlockKeywords, frozen=True, kw_only=True):
    """vrrp_script: a command run at intervals whose exit status moves the priority of the instances that track it."""

    script: Annotated[
        Maybe[str],
        Keyword(Command(), "Command to run; with arguments it is one quoted word", required=True, process="vrrp"),
    ] = UNSET
    interval: Annotated[
        Maybe[int], Keyword(Duration(decimals=3, minimum=1), "Period between runs", default="1", process="vrrp")
    ] = UNSET
    timeout: Annotated[
        Maybe[int],
        Keyword(
            Duration(decimals=3),
            "Kill a run after this long and count it as failed",
            default="the interval",
            process="vrrp",
        ),
    ] = UNSET
    rise: Annotated[
        Maybe[int], Keyword(Integer(1, 2**31 - 1), "Consecutive successes to become up", default="1", process="vrrp")
    ] = UNSET
    fall: Annotated[
        Maybe[int], Keyword(Integer(1, 2**31 - 1), "Consecutive failures to become down", default="1", process="vrrp")
    ] = UNSET
    weight: Annotated[
        Maybe[ScriptWeight],
        Keyword(
            Line(ScriptWeight),
            "Priority change while up (positive) or down (negative); 0 makes a failure a FAULT",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    user: Annotated[
        Maybe[UserGroup], Keyword(Line(UserGroup), "Identity to run as", default="script_user", process="vrrp")
    ] = UNSET
    init_fail: Annotated[
        Maybe[bool], Keyword(FLAG, "Assume failed until the first result", default="off", process="vrrp")
    ] = UNSET
