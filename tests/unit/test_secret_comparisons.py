"""Secrets are compared in constant time (seed row S34)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(r"password|passwd|secret|digest|auth_data|\bicv\b|token|signature|integrity_check_value")


def comparisons(source: str) -> Iterator[str]:
    """Every == and != of a module with something in it that is called like a secret."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            text = ast.unparse(node)
            constant = [n for n in (node.left, *node.comparators) if isinstance(n, ast.Constant) or _is_name(n)]
            if SECRET.search(text.lower()) and not constant:
                yield text


def _is_name(node: ast.expr) -> bool:
    """An upper-case name: a constant of the module."""
    return (isinstance(node, ast.Name) and node.id.isupper()) or (
        isinstance(node, ast.Attribute) and node.attr.isupper()
    )


def test_no_secret_is_compared_by_an_operator() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {text}"
        for directory in ("agent", "cli")
        for path in (ROOT / directory).rglob("*.py")
        for text in comparisons(path.read_text(encoding="utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize("source", ["a.auth_data == password", "if digest != self._digest(x): pass"])
def test_such_a_comparison_would_be_found(source: str) -> None:
    assert list(comparisons(source))


@pytest.mark.parametrize("module", ["auth_header", "auth_hmac", "reception"])
def test_what_authenticates_uses_compare_digest(module: str) -> None:
    source = (ROOT / "agent/kactl_agent/vrrp" / f"{module}.py").read_text(encoding="utf-8")
    assert "hmac.compare_digest(" in source
