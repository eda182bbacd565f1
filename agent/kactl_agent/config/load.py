"""YAML files -> one checked Document: includes followed, secrets fetched, cross-references checked."""

from __future__ import annotations

import glob as globbing
import os
from bisect import bisect_right
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kactl_agent.config import check
from kactl_agent.config.bind import MISSING, bind
from kactl_agent.config.diagnostics import Diagnostic, Place, Severity
from kactl_agent.config.document import Document, Include, Origin
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import Block
from kactl_agent.config.secrets import resolve_secrets

MAX_BYTES = 32 * 1024 * 1024
MAX_INCLUDE_DEPTH = 16
MAX_FILES = 1000

ReadFile = Callable[[str], bytes]
Glob = Callable[[str], list[str]]


def read_file(path: str) -> bytes:
    """The bytes of a file, one more than MAX_BYTES at most. Raises OSError."""
    with Path(path).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def glob(pattern: str) -> list[str]:
    """Paths that match a shell pattern, sorted."""
    return sorted(globbing.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns


def load_file(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] = os.environ,
    secrets: bool = True,
) -> Document:
    """The configuration of a YAML file and of what it includes, checked. Never raises for what is in or on the disk.

    With an ERROR among its diagnostics the document is not to be used. Without `secrets` they stay SecretSources, for
    those who only look at the configuration or rewrite it.
    """
    loader = _Loader(read_file, glob)
    return _finished(loader.file(os.fspath(path), None), environ, secrets)


def load_bytes(
    data: bytes,
    name: str,
    *,
    read_file: ReadFile = read_file,
    glob: Glob = glob,
    environ: Mapping[str, str] = os.environ,
    secrets: bool = True,
    whole: bool = True,
) -> Document:
    """Like load_file, of a text that was read already; includes are relative to the directory of `name`.

    `read_file` and `glob` (paths that match a pattern, sorted) are how it reaches what is included. Without `whole` the
    origin tree is left out where it is large until a place in it is asked for: most configurations are right, and have
    no use for it.
    """
    said = _Said(read_file, glob)
    document = _Loader(said.read_file, said.glob, whole=whole).data(data, name)
    if not whole:
        document.whole_origin = lambda: _Loader(said.read_file, said.glob).data(data, name).origin
    return _finished(document, environ, secrets)


class _Said:
    """What the disk says, so that it says the same a second time."""

    def __init__(self, read_file: ReadFile, glob: Glob) -> None:
        self._read_file = read_file
        self._glob = glob
        self._files: dict[str, bytes | OSError | ValueError] = {}
        self._paths: dict[str, list[str]] = {}

    def read_file(self, path: str) -> bytes:
        if path not in self._files:
            try:
                self._files[path] = self._read_file(path)
            except (OSError, ValueError) as fault:
                self._files[path] = fault
        found = self._files[path]
        if isinstance(found, bytes):
            return found
        raise found

    def glob(self, pattern: str) -> list[str]:
        if pattern not in self._paths:
            self._paths[pattern] = self._glob(pattern)
        return self._paths[pattern]


def _finished(document: Document, environ: Mapping[str, str], secrets: bool) -> Document:
    if secrets:
        document = resolve_secrets(document, environ=environ)
    damaged = _damaged(document)
    missing = {(d.place, d.message.split("`")[1].replace("_", "-")) for d in document.errors if d.code == MISSING}
    for diagnostic in check.check(document):
        said = (diagnostic.place, diagnostic.code.removeprefix("missing-")) in missing
        if not said and not damaged(diagnostic.place):
            document.diagnostics.append(diagnostic)
    files = {file: number for number, file in enumerate(document.sources)}
    document.diagnostics = sorted(
        dict.fromkeys(document.diagnostics),
        key=lambda d: (files.get(d.place.file, len(files)), d.place.line, d.place.column),
    )
    return document


def _damaged(document: Document) -> Callable[[Place], bool]:
    """Whether a place is in a block that already has a fault: what it lacks then may be what could not be read."""
    starts: dict[str, list[int]] = {}
    for key in (document.origin.children or {}).values():
        for origin in (key, *(key.children or {}).values()):
            starts.setdefault(origin.file, []).append(origin.line)
    for lines in starts.values():
        lines.sort()

    def block_of(place: Place) -> tuple[str, int]:
        return place.file, bisect_right(starts.get(place.file, ()), place.line)

    # what is missing hides nothing else
    bad = {block_of(d.place) for d in document.errors if d.code != MISSING}
    whole = {d.place.file for d in document.errors if not d.place.line or d.code in _STOPPED}
    return lambda place: place.file in whole or block_of(place) in bad


_STOPPED = frozenset(("syntax", "tab", "control-characters", "nesting", "too-many", "empty", "several-documents"))
"""Faults behind which a file was not read."""


class _Loader:
    def __init__(self, read_file: ReadFile, glob: Glob, *, whole: bool = True) -> None:
        self.read_file = read_file
        self.glob = glob
        self.whole = whole
        self.chain: list[str] = []
        self.count = 0

    def file(self, path: str, include: Include | None) -> Document:
        place = Place(path) if include is None else include.place
        what = "" if include is None else f"{path}: "
        self.count += 1
        if self.count > MAX_FILES:
            return _failed("include", f"more than {MAX_FILES} files are included", place)
        try:
            data = self.read_file(path)
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            return _failed("unreadable", f"{what}cannot be read: {reason}", place)
        return self.data(data, path)

    def data(self, data: bytes, name: str) -> Document:
        text = _decoded(data, name)
        if isinstance(text, Diagnostic):
            document = _failed(text.code, text.message, text.place, text.hint)
            if len(data) <= MAX_BYTES:
                document.sources[name] = data.decode("utf-8", errors="replace")
            return document
        document = bind(text, name, data=data.removeprefix(BOM_UTF8), whole=self.whole)
        includes, document.includes = document.includes, []
        self.chain.append(_identity(name))
        for include in includes:
            self.include(document, include, name)
        self.chain.pop()
        return document

    def include(self, document: Document, include: Include, name: str) -> None:
        pattern = os.path.normpath(Path(name).parent / include.pattern)
        if globbing.has_magic(include.pattern):
            paths = self.glob(pattern)
            if not paths:
                document.diagnostics.append(
                    Diagnostic("include", f"no file is called `{include.pattern}`", include.place, Severity.WARNING)
                )
        else:
            paths = [pattern]
        for path in paths:
            if _identity(path) in self.chain:
                document.diagnostics.append(Diagnostic("include", f"{path} includes itself", include.place))
            elif len(self.chain) >= MAX_INCLUDE_DEPTH:
                message = f"includes are nested deeper than {MAX_INCLUDE_DEPTH} levels"
                document.diagnostics.append(Diagnostic("include", message, include.place))
            elif self.count <= MAX_FILES:
                _merge_documents(document, self.file(path, include))


def _identity(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return path


def _failed(code: str, message: str, place: Place, hint: str = "") -> Document:
    return Document(Config(), Origin(place.file), [Diagnostic(code, message, place, hint=hint)])


def _decoded(data: bytes, name: str) -> str | Diagnostic:
    """The text, or what keeps bytes from being the text of a configuration."""
    if len(data) > MAX_BYTES:
        return Diagnostic("too-large", f"larger than {MAX_BYTES >> 20} MiB", Place(name))
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return Diagnostic("encoding", "this is UTF-16, and a configuration is UTF-8", Place(name, 1, 1))
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as fault:
        before = data[: fault.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"byte 0x{data[fault.start]:02x} is not UTF-8 text"
        return Diagnostic("encoding", message, Place(name, line, column), hint="save the file as UTF-8")
    at = text.find("\0")
    if at >= 0:
        place = Place(name, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        return Diagnostic("control-characters", "a NUL byte cannot stand in a configuration", place)
    return text


# -- merging -----------------------------------------------------------------------------------------------------------


def _merge_documents(into: Document, other: Document) -> None:
    """Add an included file: names are united, lists go on, and what both say is an error that shows both places."""
    into.diagnostics += other.diagnostics
    into.sources.update(other.sources)
    merger = _Merger(into.diagnostics)
    config = merger.struct(into.config, other.config, into.origin, other.origin)
    assert isinstance(config, Config)
    into.config = config
    if other.origin.at_end:
        into.origin.at_end = [*(into.origin.at_end or ()), *other.origin.at_end]


class _Merger:
    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = diagnostics

    def struct(self, first: Struct, second: Struct, at: Origin, other: Origin) -> Struct:
        table = table_of(type(second))
        said = {field.attribute for field, _ in table.set_fields(first)}
        changed: dict[str, Any] = {}
        for field, value in table.set_fields(second):
            theirs = other.find((field.name,))
            if field.attribute not in said:
                changed[field.attribute] = value
                at.children = {**(at.children or {}), field.name: theirs}
                continue
            ours = at.child(field.name)
            mine = getattr(first, field.attribute)
            if isinstance(mine, dict) and isinstance(value, dict):
                changed[field.attribute] = self.names(mine, value, ours, theirs)
            elif isinstance(mine, tuple) and isinstance(value, tuple):
                changed[field.attribute] = mine + value
                for number in range(len(value)):
                    ours.children = ours.children or {}
                    ours.children[len(mine) + number] = theirs.find((number,))
            elif isinstance(field.keyword.shape, Block):
                changed[field.attribute] = self.struct(mine, value, ours, theirs)
            else:
                self.twice(field.name, ours, theirs)
        return replace(first, **changed)

    def names(self, mine: dict[str, Any], value: dict[str, Any], ours: Origin, theirs: Origin) -> dict[str, Any]:
        united = dict(mine)
        for name, block in value.items():
            if name in united:
                self.twice(name, ours.find((name,)), theirs.find((name,)))
                continue
            united[name] = block
            ours.children = {**(ours.children or {}), name: theirs.find((name,))}
        return united

    def twice(self, word: str, first: Origin, second: Origin) -> None:
        self.diagnostics.append(
            Diagnostic(
                "duplicate-key",
                f"`{word}` is set a second time",
                second.place,
                hint=f"the first is in {first.file}, line {first.line}, column {first.column}",
            )
        )
