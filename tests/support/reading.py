"""Directives read without the checks of a whole document: for tests of the reader."""

from __future__ import annotations

from typing import Any

from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import expand
from kactl.keepalived_conf.reader import Reading, read_directives
from kactl_agent.config.schema.shapes import or_default

INSTANCE = "vrrp_instance V {{\n interface eth0\n virtual_router_id 1\n{}\n}}\n"


def read(text: str) -> Reading:
    """The reading of a text whose expansion has no findings."""
    expansion = expand(parse_source(text.encode(), "f"))
    assert not expansion.findings
    reading = read_directives(expansion.directives, expansion.at_end, {})
    assert sum(reading.account.counts(expansion.directives).values()) > 0
    return reading


def script(lines: str) -> Reading:
    """The reading of a vrrp_script `s` with these lines."""
    return read(f"vrrp_script s {{\n script /bin/true\n{lines}\n}}\n")


def only_script(reading: Reading) -> Any:
    """Its vrrp_script `s`."""
    return or_default(reading.document.config.vrrp_script, {})["s"]


def instance(lines: str) -> Reading:
    """The reading of a vrrp_instance `V` with these lines."""
    return read(INSTANCE.format(lines))


def only_instance(reading: Reading) -> Any:
    """Its vrrp_instance `V`."""
    return or_default(reading.document.config.vrrp_instance, {})["V"]
