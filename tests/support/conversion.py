"""keepalived.conf and YAML as texts, there and back, for tests."""

from __future__ import annotations

from typing import Any

from kactl.keepalived_conf.load import load
from kactl.keepalived_conf.preprocess import ExpandOptions
from kactl.keepalived_conf.writer import write
from kactl_agent.config.bind import bind
from kactl_agent.config.diagnostics import Diagnostic
from kactl_agent.config.document import Document
from kactl_agent.config.emit import emit


def document_of(text: str, **options: Any) -> Document:
    """The document of a keepalived.conf; `options` are those of ExpandOptions."""
    return load(text.encode(), "keepalived.conf", ExpandOptions(**options)).document


def to_yaml(text: str) -> str:
    document = document_of(text)
    assert not document.errors, document.errors
    return emit(document)


def to_conf(yaml: str) -> str:
    document = bind(yaml, "agent.yaml")
    assert not document.errors, document.errors
    written = write(document, lambda path: f"text of {path}")
    assert not [d for d in written.findings if d.severity.value == "error"], written.findings
    return written.text


def codes(diagnostics: list[Diagnostic]) -> list[tuple[str, int, str]]:
    """(code, line, effect) of each."""
    return [(d.code, d.place.line, d.effect.value) for d in diagnostics]


def assert_stable(text: str) -> str:
    """keepalived.conf -> YAML -> keepalived.conf -> YAML gives the same YAML. Returns the keepalived.conf."""
    yaml = to_yaml(text)
    conf = to_conf(yaml)
    assert to_yaml(conf) == yaml
    return conf
