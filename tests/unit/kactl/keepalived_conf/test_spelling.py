from __future__ import annotations

import pytest

from kactl.keepalived_conf.spelling import elsewhere, nearest
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.vrrp import VrrpInstance


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("virtual_routr_id", "did you mean `virtual_router_id`?"),
        ("Priority", "keywords are case-sensitive: did you mean `priority`?"),
        ("x-keepalive", ""),
        ("//", "a comment begins with `#` or `!`"),
        ("q" * 1000, ""),
        ("=======", "this is what an unresolved merge conflict leaves: both sides of it are read"),
    ],
)
def test_nearest(word: str, hint: str):
    assert nearest(table_of(VrrpInstance), word) == hint


def test_nearest_at_the_root():
    assert nearest(table_of(Config), "vrrp_instanse") == "did you mean `vrrp_instance`?"


def test_elsewhere():
    assert elsewhere("router_id") == "it belongs in `global_defs`"
    assert elsewhere("auth_pass") == "it belongs in `authentication`"
    assert "`vrrp_script`" in elsewhere("rise")
    assert elsewhere("weight").endswith("or others")
    assert elsewhere("nowhere_at_all") == ""
