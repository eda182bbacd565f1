"""vrrp_script, track_file, vrrp_track_process and the lines that use them: what moves priorities and weights."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import UNSET

from kactl_agent.config.schema.keyword import FLAG, BlockKeywords, Keyword, Keywords
from kactl_agent.config.schema.network import InterfaceName
from kactl_agent.config.schema.script import UserGroup
from kactl_agent.config.schema.shapes import Choice, Command, Duration, Integer, Line, Maybe, Optional, Text, WordList

INT_MAX = 2**31 - 1
NAME = Text("name")
WEIGHT = Integer(-253, 253)
FILE_WEIGHT = Integer(-254, 254)

_REVERSE = "Turn the direction round: a success counts as a failure does, and the other way"
_NOREVERSE = "Cancel a `reverse` that the tracker's own block says"


class ScriptWeight(Keywords, frozen=True, kw_only=True):
    """A weight that may count the other way round, of scripts and BFD sessions: `WEIGHT [reverse]`."""

    weight: Annotated[
        Maybe[int],
        Keyword(
            WEIGHT,
            "Priority change; 0 makes a failure a FAULT",
            position=0,
            required=True,
            process="vrrp",
        ),
    ] = UNSET
    reverse: Annotated[Maybe[bool], Keyword(FLAG, _REVERSE, default="off", process="vrrp")] = UNSET


class FileWeight(Keywords, frozen=True, kw_only=True):
    """A weight that may count the other way round, of files and processes: `WEIGHT [reverse]`."""

    weight: Annotated[
        Maybe[int],
        Keyword(
            FILE_WEIGHT,
            "Factor for the value of a file, or priority change for a process; 0 makes a failure a FAULT",
            position=0,
            required=True,
            process="vrrp",
        ),
    ] = UNSET
    reverse: Annotated[Maybe[bool], Keyword(FLAG, _REVERSE, default="off", process="vrrp")] = UNSET


class VrrpScript(BlockKeywords, frozen=True, kw_only=True):
    """vrrp_script: a command run at intervals whose exit status moves the priority of the instances that track it."""

    script: Annotated[
        Maybe[str],
        Keyword(
            Command(),
            "Command to run, by its absolute path; with arguments it is one quoted word. Exit status 0 is a success",
            required=True,
            process="vrrp",
        ),
    ] = UNSET
    interval: Annotated[
        Maybe[int],
        Keyword(
            Duration(decimals=3, minimum=1_000, maximum=4_294_000_000, low=1_000_000),
            "Time from one start of the command to the next; keepalived before 2.3.2 takes whole seconds only",
            default="1",
            process="vrrp",
        ),
    ] = UNSET
    timeout: Annotated[
        Maybe[int],
        Keyword(
            Duration(decimals=3, minimum=1_000, maximum=4_294_000_000, low=1_000_000),
            "Kill a run after this long and count it as failed; keepalived before 2.3.2 takes whole seconds only",
            default="the interval",
            process="vrrp",
        ),
    ] = UNSET
    rise: Annotated[
        Maybe[int],
        Keyword(Integer(1, INT_MAX, otherwise=1), "Consecutive successes to become up", default="1", process="vrrp"),
    ] = UNSET
    fall: Annotated[
        Maybe[int],
        Keyword(Integer(1, INT_MAX, otherwise=1), "Consecutive failures to become down", default="1", process="vrrp"),
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
        Maybe[UserGroup],
        Keyword(Line(UserGroup), "User, and group, the command runs as", default="script_user", process="vrrp"),
    ] = UNSET
    init_fail: Annotated[
        Maybe[bool], Keyword(FLAG, "Count as failed until the first result", default="off", process="vrrp")
    ] = UNSET


class InitFile(Keywords, frozen=True, kw_only=True):
    """`[VALUE] [overwrite]`: what is written to a tracked file at the start."""

    value: Annotated[
        Maybe[int],
        Keyword(Integer(-(2**31), INT_MAX), "Value that is written", default="0", position=0),
    ] = UNSET
    overwrite: Annotated[
        Maybe[bool], Keyword(FLAG, "Write it even when the file exists", default="only a missing file is written")
    ] = UNSET


class TrackedFile(BlockKeywords, frozen=True, kw_only=True):
    """track_file: a file whose content, a number, moves the priority of instances and the weight of real servers."""

    file: Annotated[
        Maybe[str],
        Keyword(Text("path"), "File to watch; it is read whenever it changes", required=True),
    ] = UNSET
    weight: Annotated[
        Maybe[FileWeight],
        Keyword(
            Line(FileWeight),
            "Factor for the number in the file; with 0, any number but 0 is a FAULT",
            default="1",
        ),
    ] = UNSET
    init_file: Annotated[
        Maybe[bool | InitFile],
        Keyword(
            Optional(Line(InitFile)),
            "Make the file at the start, with this value",
            default="the file is left alone; without one its value is 0",
        ),
    ] = UNSET


class TrackedProcess(BlockKeywords, frozen=True, kw_only=True):
    """vrrp_track_process: whether enough processes of a kind run, as the kernel's process events tell."""

    process: Annotated[
        Maybe[tuple[str, ...]],
        Keyword(
            WordList(Text("word")),
            "Name of the process, and the arguments it must have; a name with blanks is one quoted word",
            required=True,
            again="ignored",
            process="vrrp",
        ),
    ] = UNSET
    param_match: Annotated[
        Maybe[bool | str],
        Keyword(
            Optional(Choice(("initial", "partial"))),
            "How arguments are compared: `partial`, the first ones are as given; `initial`, the last one may go on; without a word, they are exactly as given (none, if none is given)",
            default="exactly, when arguments are given",
            process="vrrp",
        ),
    ] = UNSET
    weight: Annotated[
        Maybe[FileWeight],
        Keyword(
            Line(FileWeight),
            "Priority change while enough processes run (positive) or too few do (negative); 0 makes too few a FAULT",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    quorum: Annotated[
        Maybe[int], Keyword(Integer(1, 65535), "Processes that must run at least", default="1", process="vrrp")
    ] = UNSET
    quorum_max: Annotated[
        Maybe[int],
        Keyword(
            Integer(0, 65535),
            "Processes that may run at most; 0: none may run",
            default="no limit",
            process="vrrp",
        ),
    ] = UNSET
    fork_delay: Annotated[
        Maybe[int],
        Keyword(
            Duration(minimum=1, maximum=3_600_000_000),
            "Wait this long, once enough processes run, before that counts",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    terminate_delay: Annotated[
        Maybe[int],
        Keyword(
            Duration(minimum=1, maximum=3_600_000_000),
            "Wait this long, once too few processes run, before that counts",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    delay: Annotated[
        Maybe[int],
        Keyword(
            Duration(minimum=1, maximum=3_600_000_000),
            "Sets fork_delay and terminate_delay at once",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    full_command: Annotated[
        Maybe[bool],
        Keyword(
            FLAG,
            "Compare with the first word of the process's command line, not with its name of 15 characters",
            default="off",
            process="vrrp",
        ),
    ] = UNSET


class TrackInterface(Keywords, frozen=True, kw_only=True):
    """An entry of track_interface: `INTERFACE [weight WEIGHT [reverse]]`."""

    first_option: ClassVar[str] = "weight"

    name: Annotated[
        Maybe[str],
        Keyword(InterfaceName(), "Interface whose state counts", position=0, required=True, process="vrrp"),
    ] = UNSET
    weight: Annotated[
        Maybe[int],
        Keyword(
            WEIGHT,
            "Priority change while up (positive) or down (negative); 0 makes a down interface a FAULT",
            default="0",
            process="vrrp",
        ),
    ] = UNSET
    reverse: Annotated[Maybe[bool], Keyword(FLAG, _REVERSE, default="off", process="vrrp")] = UNSET


class TrackScript(Keywords, frozen=True, kw_only=True):
    """An entry of track_script: `NAME [weight WEIGHT [reverse|noreverse]]`."""

    first_option: ClassVar[str] = "weight"

    name: Annotated[Maybe[str], Keyword(NAME, "Name of a vrrp_script", position=0, required=True, process="vrrp")] = (
        UNSET
    )
    weight: Annotated[
        Maybe[int],
        Keyword(WEIGHT, "Priority change, instead of the script's", default="the script's weight", process="vrrp"),
    ] = UNSET
    reverse: Annotated[Maybe[bool], Keyword(FLAG, _REVERSE, default="as the script says", process="vrrp")] = UNSET
    noreverse: Annotated[Maybe[bool], Keyword(FLAG, _NOREVERSE, default="off", process="vrrp")] = UNSET


class TrackFile(Keywords, frozen=True, kw_only=True):
    """An entry of track_file: `NAME [weight WEIGHT [reverse|noreverse]]`."""

    first_option: ClassVar[str] = "weight"
    whole_line: ClassVar[bool] = True

    name: Annotated[Maybe[str], Keyword(NAME, "Name of a track_file", position=0, required=True, process="vrrp")] = (
        UNSET
    )
    weight: Annotated[
        Maybe[int],
        Keyword(
            FILE_WEIGHT,
            "Factor for the number in the file, instead of the track_file's",
            default="the track_file's weight",
            bad_value="option",
            process="vrrp",
        ),
    ] = UNSET
    reverse: Annotated[Maybe[bool], Keyword(FLAG, _REVERSE, default="as the track_file says", process="vrrp")] = UNSET
    noreverse: Annotated[Maybe[bool], Keyword(FLAG, _NOREVERSE, default="off", process="vrrp")] = UNSET


class TrackProcess(Keywords, frozen=True, kw_only=True):
    """An entry of track_process: `NAME [weight WEIGHT [reverse|noreverse]]`."""

    first_option: ClassVar[str] = "weight"

    name: Annotated[
        Maybe[str], Keyword(NAME, "Name of a vrrp_track_process", position=0, required=True, process="vrrp")
    ] = UNSET
    weight: Annotated[
        Maybe[int],
        Keyword(
            FILE_WEIGHT,
            "Priority change, instead of the vrrp_track_process's",
            default="the vrrp_track_process's weight",
            process="vrrp",
        ),
    ] = UNSET
    reverse: Annotated[
        Maybe[bool], Keyword(FLAG, _REVERSE, default="as the vrrp_track_process says", process="vrrp")
    ] = UNSET
    noreverse: Annotated[Maybe[bool], Keyword(FLAG, _NOREVERSE, default="off", process="vrrp")] = UNSET


class TrackBfd(Keywords, frozen=True, kw_only=True):
    """An entry of track_bfd: `NAME [weight WEIGHT [reverse|noreverse]]`."""

    first_option: ClassVar[str] = "weight"

    name: Annotated[Maybe[str], Keyword(NAME, "Name of a bfd_instance", position=0, required=True, process="vrrp")] = (
        UNSET
    )
    weight: Annotated[
        Maybe[int],
        Keyword(WEIGHT, "Priority change, instead of the session's", default="the session's weight", process="vrrp"),
    ] = UNSET
    reverse: Annotated[Maybe[bool], Keyword(FLAG, _REVERSE, default="as the session says", process="vrrp")] = UNSET
    noreverse: Annotated[Maybe[bool], Keyword(FLAG, _NOREVERSE, default="off", process="vrrp")] = UNSET
