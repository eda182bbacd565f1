from __future__ import annotations

from pathlib import Path

from kactl_agent.config.load import load_bytes, load_file
from kactl_agent.supervisor.configuration_copies import save_copy


def test_copies_are_counted_complete_and_for_their_owner(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("global_defs: {router_id: lb1}\n")
    document = load_file(str(tmp_path / "agent.yaml"))
    saved = tmp_path / "saved"
    assert [save_copy(document, str(saved), "agent.yaml", 7) for _ in range(11)] == [""] * 11
    assert save_copy(document, str(saved), "agent.yaml", 8) == ""
    names = sorted(path.name for path in saved.iterdir())
    assert names == sorted([f"agent.yaml.7.{number}" for number in range(11)] + ["agent.yaml.8.0"])
    one = saved / "agent.yaml.7.10"
    assert one.stat().st_mode & 0o777 == 0o600
    assert saved.stat().st_mode & 0o777 == 0o700
    assert load_file(str(one)).config == document.config


def test_a_copy_has_the_comments_and_the_order_of_what_was_read_without_its_places(tmp_path: Path) -> None:
    text = "# who we are\nvrrp_script:\n  a:\n    # how\n    weight: 5\n    script: /bin/true # what\n"
    document = load_bytes(text.encode(), str(tmp_path / "agent.yaml"), whole=False)
    assert save_copy(document, str(tmp_path / "saved"), "agent.yaml", 7) == ""
    assert (tmp_path / "saved" / "agent.yaml.7.0").read_text() == text


def test_what_goes_wrong_is_said(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("{}\n")
    document = load_file(str(tmp_path / "agent.yaml"))
    missing = tmp_path / "no" / "parents"
    assert save_copy(document, str(missing), "agent.yaml", 7) == (
        f"config_save_dir {missing}: No such file or directory"
    )
