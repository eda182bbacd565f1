"""config_save_dir: a copy of every configuration that was loaded, with what it includes, beside dumps of the state."""

from __future__ import annotations

import os
from pathlib import Path

from kactl_agent.config.document import Document
from kactl_agent.config.emit import emit


def save_copy(document: Document, directory: str, name: str, pid: int) -> str:
    """Write NAME.PID.N with the next N from 0, for its owner alone. Returns what went wrong, "" when nothing did.

    The directory is made, its parents are not.
    """
    folder = Path(directory)
    document.complete()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        taken = (path.name.rpartition(".")[2] for path in folder.glob(f"{name}.{pid}.*"))
        number = max((int(text) for text in taken if text.isdigit()), default=-1) + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(folder / f"{name}.{pid}.{number}", flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(emit(document))
    except OSError as error:
        return f"config_save_dir {directory}: {error.strerror or error}"
    return ""
