"""The words on a block's header line."""

from __future__ import annotations

import pytest

from kactl.keepalived_conf.load import load


@pytest.mark.parametrize(
    "header", ["vrrp_script", "track_file", "bfd_instance", "virtual_server_group", "virtual_server"]
)
def test_a_block_without_the_name_it_cannot_do_without_is_refused(header: str) -> None:
    """keepalived stops at once: `Configuration line ... is missing a parameter` (bfd_instance: it crashes)."""
    document = load(f"global_defs {{\n}}\n{header} {{\n}}\n".encode(), "keepalived.conf").document
    assert [(d.code, d.place.line) for d in document.errors] == [("missing-value", 3)]


@pytest.mark.parametrize("header", ["vrrp_instance", "vrrp_sync_group", "track_group"])
def test_a_nameless_block_that_keepalived_skips_is_carried(header: str) -> None:
    """`vrrp_instance must have a name`, and the daemon goes on."""
    document = load(f"global_defs {{\n}}\n{header} {{\n}}\n".encode(), "keepalived.conf").document
    assert document.errors == []
    assert document.config.x_keepalived == (f"{header} {{\n}}",)
