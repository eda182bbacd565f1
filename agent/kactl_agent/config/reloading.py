"""The keywords about reloads -> what the supervisor takes."""

from __future__ import annotations

from msgspec import UNSET

from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import or_default
from kactl_agent.reload_settings import ReloadSettings

MARKER = "keepalived.reload"
_NOWHERE = "/dev/null"


def resolve_reload(config: Config) -> ReloadSettings:
    """A new configuration is always checked in full; reload_check_config says where the findings go as well."""
    said = config.global_defs
    if said is UNSET:
        return ReloadSettings()
    marker = or_default(said.reload_file, False)
    log = or_default(said.reload_check_config, False)
    return ReloadSettings(
        marker=marker if isinstance(marker, str) else MARKER if marker else "",
        time_file=or_default(said.reload_time_file, ""),
        repeat=or_default(said.reload_repeat, False),
        check_log=log if isinstance(log, str) and log != _NOWHERE else "",
    )
