"""Blocks of the root that belong to no instance, as keepalived 2.2.7 takes them (-t, dump)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import MissingWord
from kactl_agent.config.schema.static import GarpGroup, InterfaceDelays, LinkbeatInterface, TrackGroup
from support.keyword_lines import fault, same, taken


@pytest.mark.parametrize(
    ("struct", "keyword", "line", "value"),
    [
        (Config, "net_namespace", "blue", "blue"),
        (Config, "net_namespace_ipvs", "", True),
        (Config, "net_namespace_ipvs", "blue", "blue"),
        (Config, "child_wait_time", "0", 0),
        (Config, "linkbeat_use_polling", "", True),
        (
            Config,
            "interface_up_down_delays",
            "eth0 1.5 2",
            InterfaceDelays(interface="eth0", down=1_500_000, up=2_000_000),
        ),
        (Config, "interface_up_down_delays", "eth0 255", InterfaceDelays(interface="eth0", down=255_000_000)),
        (Config, "interface_up_down_delays", "eth0", InterfaceDelays(interface="eth0")),
        (Config, "linkbeat_interfaces", "eth0", LinkbeatInterface(interface="eth0")),
        (Config, "linkbeat_interfaces", "eth0 MII", LinkbeatInterface(interface="eth0", method="MII")),
        (TrackGroup, "group", "VI_1", "VI_1"),
        (GarpGroup, "garp_interval", "0.000001", 1),
        (GarpGroup, "interfaces", "eth0", "eth0"),
    ],
)
def test_words(struct: Any, keyword: str, line: str, value: Any) -> None:
    same(struct, keyword, line, value)


@pytest.mark.parametrize(
    ("struct", "keyword", "line", "value"),
    [
        (Config, "child_wait_time", "-1", UNSET),
        (Config, "child_wait_time", "1.5", UNSET),
        (Config, "interface_up_down_delays", "eth0 256", UNSET),
        (Config, "interface_up_down_delays", "eth0 x", UNSET),
        (Config, "interface_up_down_delays", "eth0 1 2.55555555", 2_555_556),
        (Config, "linkbeat_interfaces", "eth0 FOO", UNSET),
        (GarpGroup, "gna_interval", "x", UNSET),
    ],
)
def test_limits(struct: Any, keyword: str, line: str, value: Any) -> None:
    assert fault(struct, keyword, line).taken == value


def test_words_that_must_not_be_missing() -> None:
    for keyword, line in (("interface_up_down_delays", ""), ("net_namespace", ""), ("linkbeat_interfaces", "")):
        with pytest.raises(MissingWord):
            taken(Config, keyword, line)
