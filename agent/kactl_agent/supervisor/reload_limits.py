"""What a reload does not change, because a running agent cannot: it counts from the next start."""

from __future__ import annotations

import msgspec

from kactl_agent.process_settings import ProcessSettings

FIXED = {
    # field -> keyword, as keepalived has it
    "namespace": "net_namespace",
    "namespace_ipvs": "net_namespace_ipvs",
    "instance": "instance",
    "use_pid_dir": "use_pid_dir",
    "tmp_directory": "tmp_config_directory",
}


def keep_fixed(current: ProcessSettings, new: ProcessSettings) -> tuple[ProcessSettings, list[str]]:
    """The new settings as they can be in force, and the keywords that are not."""
    kept = {field: getattr(current, field) for field in FIXED if getattr(new, field) != getattr(current, field)}
    if not kept:
        return new, []
    dumps = new.dumps
    if dumps.suffix:
        suffix = "_".join(filter(None, (current.namespace, current.instance)))
        dumps = msgspec.structs.replace(dumps, suffix=suffix)
    return msgspec.structs.replace(new, **kept, dumps=dumps), [FIXED[field] for field in kept]


def fixed_lines(keywords: list[str], file: str) -> list[str]:
    """What to say of them, a text for each."""
    return [
        f"{file}: warning[reload-keeps]: {keyword} is not changed by a reload: restart the agent"
        for keyword in keywords
    ]
