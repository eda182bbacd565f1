"""What a reload does not change, because a running agent cannot: it counts from the next start."""

from __future__ import annotations

import msgspec

from kactl_agent.ipvs.marks import keep_marks
from kactl_agent.ipvs.settings import CheckersSettings, MarksSettings
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.supervisor.balancing_files import encoded, privileges_for

FIXED = {
    # field -> keyword, as keepalived has it
    "namespace": "net_namespace",
    "namespace_ipvs": "net_namespace_ipvs",
    "instance": "instance",
    "use_pid_dir": "use_pid_dir",
    "tmp_directory": "tmp_config_directory",
}


def keep_fixed(current: AgentConfiguration, new: AgentConfiguration) -> tuple[AgentConfiguration, list[str]]:
    """The new configuration as it can be in force, and the keywords that are not."""
    new = _keep_marks(current, new)
    process = _kept(current.process, new.process)
    changed = [keyword for field, keyword in FIXED.items() if getattr(process, field) != getattr(new.process, field)]
    if not changed:
        return new, []
    allowed = dict(new.privileges)
    if new.checkers:  # may enter the namespace that stays, and no other
        allowed["checkers"] = privileges_for(process)
    return msgspec.structs.replace(new, process=process, privileges=allowed), changed


class _Marking(msgspec.Struct):
    """As much of `CheckersSettings` as says whether the rest has to be read."""

    marks: MarksSettings | None = None


def _keep_marks(current: AgentConfiguration, new: AgentConfiguration) -> AgentConfiguration:
    """A worker that dies before it has applied them, and the one that follows, know the same marks."""
    both = (current.checkers, new.checkers)
    if not all(each and msgspec.msgpack.decode(each, type=_Marking).marks for each in both):
        return new
    before, after = (msgspec.msgpack.decode(each, type=CheckersSettings) for each in both)
    return msgspec.structs.replace(new, checkers=encoded(keep_marks(before, after)))


def _kept(current: ProcessSettings, new: ProcessSettings) -> ProcessSettings:
    dumps = new.dumps
    if dumps.suffix:
        suffix = "_".join(filter(None, (current.namespace, current.instance)))
        dumps = msgspec.structs.replace(dumps, suffix=suffix)
    return msgspec.structs.replace(new, **{field: getattr(current, field) for field in FIXED}, dumps=dumps)


def fixed_lines(keywords: list[str], file: str) -> list[str]:
    """What to say of them, a text for each."""
    return [
        f"{file}: warning[reload-keeps]: {keyword} is not changed by a reload: restart the agent"
        for keyword in keywords
    ]
