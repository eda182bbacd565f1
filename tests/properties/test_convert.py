"""What the writer writes, the reader reads: the same model; and from the second YAML on, the same text."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.load import load
from kactl.keepalived_conf.preprocess import expand
from kactl.keepalived_conf.reader import read_directives
from kactl.keepalived_conf.writer import write
from kactl_agent.config.bind import bind
from kactl_agent.config.diagnostics import Severity
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.emit import emit
from kactl_agent.config.schema.root import Config
from support.comments import documents
from support.schema_strategies import configs

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def read(text: str) -> Document:
    """Without the checks: drawn configurations name trackers and members that do not exist."""
    expansion = expand(parse_source(text.encode(), "keepalived.conf"))
    assert not [d for d in expansion.findings if d.severity is Severity.ERROR], expansion.findings
    return read_directives(expansion.directives, expansion.at_end, {}).document


def written(document: Document) -> str:
    result = write(document, lambda path: f"text of {path}")
    assume(not any("it says nothing" in d.message for d in result.findings))  # an entry with nothing set
    assert not [d for d in result.findings if d.severity is Severity.ERROR], result.findings
    return result.text


@given(configs())
@settings(max_examples=150, suppress_health_check=SLOW)
def test_a_model_survives_keepalived_conf(config: Config) -> None:
    text = written(Document(config, Origin()))
    again = read(text)
    assert again.config == config, text
    assert {d.code for d in again.diagnostics} <= {"deprecated-keyword"}, again.diagnostics


@given(documents(configs(most=4)))
@settings(max_examples=100, suppress_health_check=SLOW)
def test_comments_settle(document: Document) -> None:
    """YAML may have comments where keepalived.conf has no place for them; once moved, they stay."""
    first = emit(read(written(document)))
    bound = bind(first, "agent.yaml")
    assert not bound.errors
    text = written(bound)
    assert emit(read(text)) == first, text


TOKENS = st.sampled_from(
    [
        *"{}#!$@~\\\"'\n\n\n  ",
        "vrrp_instance V",
        "vrrp_script s",
        "global_defs",
        "virtual_server 10.0.0.1 80",
        "real_server 10.0.0.2 80",
        "virtual_ipaddress",
        "track_script",
        "interface eth0",
        "virtual_router_id 1",
        "script /bin/true",
        "interval 1",
        "router_id",
        "10.0.0.1/24 dev eth0",
        "TCP_CHECK",
        "$A=1",
        "${A}",
        "@x ",
        "~SEQ(i,1,3) ",
        " 9999999999 ",
        "é",
        "\0",
    ]
)


@given(st.lists(TOKENS, max_size=40).map("".join))
@settings(max_examples=300)
def test_whatever_is_taken_is_stable_and_nothing_raises(text: str) -> None:
    document = load(text.encode(), "keepalived.conf").document
    if document.errors:
        return
    yaml = emit(document)
    bound = bind(yaml, "agent.yaml")
    assert not bound.errors
    again = load(written(bound).encode(), "again.conf").document
    assert not again.errors
    assert emit(again) == yaml


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    load(data, "keepalived.conf")
