"""A configuration's text, changed: untouched, to the byte, where nothing changes its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.error import YAMLError

from kactl.editing import changes, text
from kactl.editing.changes import State
from kactl_agent.config.bind import bind
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.emit import emit
from kactl_agent.config.load import load_bytes


@dataclass(frozen=True)
class Edit:
    """What became of a text. Of an invalid document nothing is to be written."""

    before: str
    after: str
    document: Document  # of the text that follows, or of the text that was there when that has errors already

    @property
    def changed(self) -> bool:
        return self.before != self.after


def edit(before: bytes | None, name: str, change: dict[str, Any], state: State, environ: Mapping[str, str]) -> Edit:
    """Change the text of a file called `name`; None: there is no such file yet.

    The text stays as it is, to the byte, when the configuration means the same before and after.
    """
    old_text = "" if before is None else before.decode("utf-8", errors="replace")
    old = None
    if before is not None and before.strip():
        old = load_bytes(before, name, environ=environ, secrets=False)
    base = old_text
    try:
        tree = text.load(base)
    except (YAMLError, ValueError):
        if old is not None and state is not State.OVERRIDDEN:
            return Edit(old_text, old_text, old)
        base, tree = "", text.load("")
    if old is not None and not old.errors:
        base = _editable(base, old)
        tree = text.load(base)
    changes.apply(tree, change, state)
    after = text.dump(tree, base) if tree else "{}\n"
    document = load_bytes(after.encode(), name, environ=environ, secrets=False)
    same = old is not None and not old.errors and not document.errors and old.config == document.config
    return Edit(old_text, old_text if same else after, document)


def _editable(before: str, document: Document) -> str:
    """The text, or where a tree of it would not say the same, that of our own emitter, if need be without comments."""
    main = bind(before, "").config
    for candidate in (before, emit(bind(before, "")), emit(Document(main, Origin()))):
        if bind(text.dump(text.load(candidate), candidate), "").config == main:
            return candidate
    raise ValueError(f"{document.origin.file} cannot be edited")


def data_of(document: Document) -> Any:
    """A configuration as plain data: maps, lists and texts in the shape of the YAML."""
    return text.plain(text.load(emit(document)))
