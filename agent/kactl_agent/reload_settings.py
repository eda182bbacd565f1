"""What the configuration says about reloads: resolved.

`config/reloading.py` makes it from what the user wrote.
"""

from __future__ import annotations

import msgspec


class ReloadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """reload_file, reload_time_file, reload_repeat, reload_check_config. Paths that are not absolute are below the run
    directory."""

    marker: str = ""  # a file that exists while a reload runs; empty: there is none
    time_file: str = ""  # when to reload; empty: only when told to
    repeat: bool = False  # every day, when the file has no date
    check_log: str = ""  # where the findings about a new configuration go; empty: to the log alone
