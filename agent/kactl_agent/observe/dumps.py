"""The state as files, for SIGUSR1."""

from __future__ import annotations

import json
from typing import Any


def render_json(status: dict[str, Any]) -> str:
    return json.dumps(status, indent=2, ensure_ascii=False) + "\n"


def render_text(status: dict[str, Any]) -> str:
    """The same for reading: one block an instance, `label: value` indented by depth."""
    lines = [f"as of: {status['as_of']}", *_block("agent", status["agent"], 0)]
    for name, instance in status["vrrp"]["instances"].items():
        lines += ["", *_block(f"vrrp_instance {name}", instance, 0)]
    for name, group in status["vrrp"]["sync_groups"].items():
        lines += ["", *_block(f"vrrp_sync_group {name}", group, 0)]
    return "\n".join(lines) + "\n"


def _block(label: str, value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    if isinstance(value, dict):
        lines = [f"{indent}{label}:" + ("" if value else " none")]
        for key, inner in value.items():
            lines += _block(str(key), inner, depth + 1)
        return lines
    if isinstance(value, list):
        if not value:
            return [f"{indent}{label}: none"]
        if all(not isinstance(item, dict | list) for item in value):
            return [f"{indent}{label}: {', '.join(str(item) for item in value)}"]
        lines = [f"{indent}{label}:"]
        for number, item in enumerate(value):
            lines += _block(str(number), item, depth + 1)
        return lines
    return [f"{indent}{label}: {'none' if value is None or value == '' else value}"]
