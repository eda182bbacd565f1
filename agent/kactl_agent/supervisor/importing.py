"""Modules that are imported while the agent runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def import_late(name: str) -> ModuleType:
    """Raises ImportError, whatever is wrong with it: the installation may be another one than the one that runs."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ImportError(f"{name} cannot be imported: {error}") from error
