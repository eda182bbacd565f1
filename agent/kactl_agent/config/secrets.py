"""Secrets: where the schema has them, and where their text comes from."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import replace as replace_fields
from functools import cache
from pathlib import Path as FilePath
from typing import Any, cast

from msgspec import UNSET, Struct
from msgspec.structs import replace

from kactl_agent.config.checks.problem import Path
from kactl_agent.config.diagnostics import Diagnostic
from kactl_agent.config.document import Document
from kactl_agent.config.schema.keyword import Field, table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import (
    Block,
    Line,
    Named,
    Optional,
    Scalar,
    SecretSource,
    Shape,
    ValueFault,
    is_secret,
)
from kactl_agent.config.schema.vrrp import HmacKey
from kactl_agent.config.suggest import structs_of

MAX_SECRET = 64 * 1024
HMAC_KEY_FILE = "file:"  # keepalived's own way to say where a key of auth_hmac is


@cache
def secret_keywords() -> frozenset[str]:
    """Keywords, in every spelling, behind which a secret stands on the same line."""
    found: set[str] = set()
    seen: set[type[Struct]] = set()
    waiting: list[type[Struct]] = [Config]
    while waiting:
        struct = waiting.pop()
        if struct in seen:
            continue
        seen.add(struct)
        for field in table_of(struct).fields:
            shape = field.keyword.shape
            inner = list(structs_of(shape))
            waiting += inner
            if is_secret(shape) or any(_has_secret(s) for s in inner if not _is_block(shape)):
                found.update(field.spellings)
    return frozenset(found)


def _is_block(shape: Shape) -> bool:
    return isinstance(shape, Block | Named)


def _has_secret(struct: type[Struct]) -> bool:
    return any(is_secret(field.keyword.shape) for field in table_of(struct).fields)


@cache
def _ways_to_secrets(struct: type[Struct]) -> tuple[Field, ...]:
    """The fields that are secrets, or hold some: tens of thousands of real servers need not be looked through."""
    return tuple(
        field
        for field in table_of(struct).fields
        if is_secret(field.keyword.shape) or any(_ways_to_secrets(inner) for inner in structs_of(field.keyword.shape))
    )


# -- resolving ---------------------------------------------------------------------------------------------------------


def resolve_secrets(document: Document, *, environ: Mapping[str, str] = os.environ) -> Document:
    """The document with the text of every secret in place of its `{file:}` or `{env:}`.

    A relative path is relative to the file that names it. A secret that cannot be had is an error of the new document
    and stays a SecretSource; its text appears in no diagnostic.
    """
    resolver = _Resolver(environ, document)
    config = resolver.struct(document.config, ())
    return replace_fields(document, config=cast(Config, config), diagnostics=resolver.diagnostics)


class _Resolver:
    def __init__(self, environ: Mapping[str, str], document: Document) -> None:
        self.environ = environ
        self.document = document
        self.diagnostics = [*document.diagnostics]

    def struct(self, value: Struct, path: Path) -> Struct:
        changed: dict[str, Any] = {}
        for field in _ways_to_secrets(type(value)):
            item = getattr(value, field.attribute)
            if item is UNSET:
                continue
            new = self.value(field.keyword.shape, item, (*path, field.name))
            if new is not item:
                changed[field.attribute] = new
        return replace(value, **changed) if changed else value

    def value(self, shape: Shape, value: Any, path: Path) -> Any:
        if isinstance(value, SecretSource):
            return self.text(shape, value, path)
        if isinstance(value, Struct):
            return self.struct(value, path)
        if isinstance(value, tuple):
            items = tuple(self.value(_item(shape), v, (*path, i)) for i, v in enumerate(value))
            return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
        if isinstance(value, dict):
            entries = {k: self.value(_item(shape), v, (*path, k)) for k, v in value.items()}
            return entries if any(entries[k] is not v for k, v in value.items()) else value
        if isinstance(shape, HmacKey) and isinstance(value, str) and value.startswith(HMAC_KEY_FILE):
            return self.text(shape, SecretSource(file=value.removeprefix(HMAC_KEY_FILE)), path)
        return value

    def text(self, shape: Shape, source: SecretSource, path: Path) -> Any:
        try:
            text = self.read(source, path)
        except OSError as fault:
            return self.fault(f"{source.file}: {fault.strerror or fault}", "", path, source)
        except _Unusable as fault:
            return self.fault(str(fault), fault.hint, path, source)
        scalar = _scalar_of(shape)
        if isinstance(scalar, HmacKey) and text.startswith(HMAC_KEY_FILE):
            return self.fault("the secret cannot be used: it names another file", "", path, source)
        try:
            return text if scalar is None else scalar.parse_yaml(text)
        except ValueFault as fault:
            message = fault.message.replace(f"`{text}`", "the text") if text else fault.message
            return self.fault(f"the secret cannot be used: {message}", fault.hint, path, source)

    def fault(self, message: str, hint: str, path: Path, source: SecretSource) -> SecretSource:
        self.diagnostics.append(Diagnostic("secret", message, self.document.place(path), hint=hint))
        return source

    def read(self, source: SecretSource, path: Path) -> str:
        if source.env:
            if source.env not in self.environ:
                raise _Unusable(f"the environment has no `{source.env}`", "set it where the agent is started")
            return self.environ[source.env]
        file = self.document.origin.find(path).file  # known of every block
        return read_secret_file(FilePath(file).parent / source.file)


class _Unusable(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def read_secret_file(path: FilePath) -> str:
    """The text of a secret's file, without its last newline. Raises OSError, or _Unusable for an unfit file."""
    # Not blocking: a FIFO or a device must not hold the agent up.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _Unusable(f"{path} is not a regular file")
        if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise _Unusable(f"{path} is open to every user", f"chmod o= {path}")
        data = file.read(MAX_SECRET + 1)
    if len(data) > MAX_SECRET:
        raise _Unusable(f"{path} is larger than {MAX_SECRET} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _Unusable(f"{path} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise _Unusable(f"{path} is empty")
    return text


def _item(shape: Shape) -> Shape:
    if isinstance(shape, Optional):
        return _item(shape.shape)
    return getattr(shape, "item", shape)


def _scalar_of(shape: Shape) -> Scalar[Any] | None:
    """The scalar that a secret of this shape is: a line's short form is its first positional word."""
    if isinstance(shape, Optional):
        return _scalar_of(shape.shape)
    if isinstance(shape, Line):
        short = table_of(shape.struct).short
        return None if short is None else _scalar_of(short.keyword.shape)
    return shape if isinstance(shape, Scalar) else None
