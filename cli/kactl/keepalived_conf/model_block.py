"""A block of the model while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.document import Origin
from kactl_agent.config.schema.keyword import Table


@dataclass
class ModelBlock:
    """Values by attribute, as the model has them; lists and nested ModelBlocks become tuples and structs in the end."""

    table: Table
    origin: Origin
    values: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Directive] = field(default_factory=dict)  # the line each value is from

    def struct(self) -> Struct:
        """The finished block."""
        values = {name: _finished(value) for name, value in self.values.items()}
        return self.table.struct(**values)


def _finished(value: Any) -> Any:
    if isinstance(value, ModelBlock):
        return value.struct()
    if isinstance(value, dict):
        return {name: _finished(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
