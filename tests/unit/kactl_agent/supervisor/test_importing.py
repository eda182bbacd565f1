from __future__ import annotations

from pathlib import Path

import pytest

from kactl_agent.supervisor.importing import import_late


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("from kactl_agent import nothing", "cannot import name 'nothing'"),
        ("if", "invalid syntax"),
        ("import os; os.nothing", "has no attribute 'nothing'"),
        ("1 // 0", "division"),
        (None, "No module named"),
    ],
)
def test_whatever_is_wrong_with_a_module_is_an_import_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, what: str
) -> None:
    if text is not None:
        (tmp_path / "half_installed.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="half_installed cannot be imported") as raised:
        import_late("half_installed")
    assert what in str(raised.value)
