from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kactl.keepalived_conf.ordering import carried_definitions, definitions_first
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import DEFINED_FIRST, Config

ROOT = [field.name for field in table_of(Config)]


def test_definitions_move_up_and_nothing_else_moves():
    keys = ["global_defs", "vrrp_instance", "virtual_server", "vrrp_script", "SSL", "track_file"]
    expected = ["global_defs", "vrrp_script", "track_file", "vrrp_instance", "virtual_server", "SSL"]
    assert definitions_first(keys) == expected


def test_order_that_is_good_is_kept():
    keys = ["virtual_server", "vrrp_script", "vrrp_instance", "vrrp_sync_group"]
    assert definitions_first(keys) == keys


@given(st.permutations(ROOT))
def test_every_order_becomes_one_that_keepalived_can_read(keys: list[str]):
    ordered = definitions_first(keys)
    assert sorted(ordered) == sorted(keys)
    for definition, users in DEFINED_FIRST.items():
        assert all(ordered.index(definition) < ordered.index(user) for user in users)
    assert definitions_first(ordered) == ordered
    others = set(DEFINED_FIRST)
    assert [k for k in ordered if k not in others] == [k for k in keys if k not in others]


def test_carried_definitions():
    texts = ["foo", "bfd_instance b {\n}", "", "vrrp_instance V {\n}", "vrrp_script s {\n}"]
    assert carried_definitions(texts) == [1, 4]
