"""The JSON Schema takes what bind takes, and refuses what it refuses."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kactl_agent.config.bind import bind
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.emit import emit
from kactl_agent.config.jsonschema import all_structs, json_schema, names_of, unit_of
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import Config
from support.schema_strategies import configs

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def accepts(text: str) -> bool:
    return bool(VALIDATOR.is_valid(yaml.safe_load(text)))


def test_it_is_a_schema_of_its_dialect() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@given(configs(most=6))
@settings(max_examples=100)
def test_it_accepts_what_is_emitted(config: Config) -> None:
    text = emit(Document(config, Origin()))
    errors = [f"{list(e.absolute_path)}: {e.message}" for e in VALIDATOR.iter_errors(yaml.safe_load(text))]
    assert not errors, text


@given(configs(most=6), st.data())
@settings(max_examples=100)
def test_both_refuse_what_has_the_wrong_kind_anywhere(config: Config, data: st.DataObject) -> None:
    loaded = yaml.safe_load(emit(Document(config, Origin())))
    assume(loaded)
    here = loaded
    while True:  # lists of lists stand nowhere
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(here[key], dict | list) or not here[key] or data.draw(st.booleans()):
            break
        here = here[key]
    here[key] = [[["x"]]]
    text = yaml.safe_dump(loaded)
    assert bind(text, "agent.yaml").errors
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "vrrp_script: []",
        "vrrp_script: {a: x}",
        "vrrp_script: {a: {script: x, rise: many}}",
        "vrrp_script: {a: {script: x, rise: 0}}",
        "vrrp_script: {a: {script: x, interval: []}}",
        "vrrp_script: {a: {script: x, init_fail: 3}}",
        "vrrp_script: {a: {script: x, rsie: 3}}",
        "vrrp_script: {a: {script: }}",
        "vrrp_scirpt: {}",
        "vrrp_script: {a: {rise: 3}}",
        "static_ipaddress: 192.0.2.1",
        "static_ipaddress: [{dev: eth0}]",
        "static_ipaddress: [{address: 192.0.2.1, dve: eth0}]",
        "vrrp_instance: {A: {state: MASTRE}}",
        "vrrp_instance: {A: {virtual_router_id: 256}}",
        "vrrp_instance: {A: {authentication: {auth_pass: {fiel: x}}}}",
        "include: {a: b}",
        "[]",
    ],
)
def test_it_refuses_what_bind_refuses(text: str) -> None:
    assert bind(text, "agent.yaml").errors
    assert not accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "include: a.yaml",
        "include: [a.yaml, conf.d/*.yaml]",
        "x-anchors: {any: [thing]}",
        "vrrp_script: {a: {script: x, interval: 500ms, init_fail: true, weight: 3}}",
        "vrrp_script: {a: {script: x, interval: 0.5, init_fail: yes, weight: {weight: 3, reverse: on}}}",
        "vrrp_instance: {A: {virtual_router_id: 1, authentication: {auth_pass: {file: x}}}}",
        "x-keepalived: [frobnicate yes]",
    ],
)
def test_it_accepts_what_bind_accepts(text: str) -> None:
    assert not bind(text, "agent.yaml").errors
    assert accepts(text)


def test_every_keyword_is_described_with_its_unit_default_and_age() -> None:
    names = names_of(all_structs())
    for struct, name in names.items():
        definition = SCHEMA if struct is Config else SCHEMA["$defs"][name]
        assert definition["additionalProperties"] is False
        for field in table_of(struct).fields:
            shown = definition["properties"][field.name]
            keyword = field.keyword
            assert shown["description"].startswith(keyword.doc.rstrip("."))
            assert shown.get("x-default", "") == keyword.default
            assert shown.get("x-since", "") == keyword.since
            assert shown.get("x-unit", "") == unit_of(keyword.shape)
            assert shown.get("deprecated", False) is bool(keyword.replaced_by)
            assert ("x-keepalived-keyword" in shown) is not keyword.extension
            assert (field.name in definition.get("required", ())) is keyword.required
