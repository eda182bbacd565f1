"""Document -> YAML: layout, order, quoting, comments."""

from __future__ import annotations

import time

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.emit import emit
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.track import ScriptWeight, UserGroup, VrrpScript

LAYOUT = """\
# About the cluster.
global_defs:
  router_id: lb1
  vrrp_garp_interval: 0.001

vrrp_script:
  chk_haproxy:
    script: /usr/local/bin/chk --quick # no arguments
    interval: 2
    weight: -20
  # ours
  chk_pid:
    script: "test -e /run/x #1"
    weight: {weight: 3, reverse: true}
    user: nobody

vrrp_instance:
  VI_1:
    interface: eth0
    virtual_router_id: 51
    authentication:
      auth_type: PASS
      auth_pass: {env: VRRP_PASS}
    virtual_ipaddress:
      - 192.0.2.10/24
      # the second
      - {address: 192.0.2.11/24, dev: eth1, label: "eth1:1"} # on eth1
      # no more
    track_script:
      - chk_haproxy

virtual_server:
  - address: 192.0.2.10
    port: 443
    lb_algo: wrr
    real_server:
      - address: 10.0.0.1
        port: 8443
        weight: 2
        SSL_GET:
          url:
            - {path: /healthz, status_code: 200}
      - address: 10.0.0.2
        port: 8443
        TCP_CHECK: {}
  - # behind the dash, since the address has its own
    address: 192.0.2.11 # this one
    port: 80
    # } # web

# The end.
"""


def test_a_canonical_text_stays_as_it_is() -> None:
    document = bind(LAYOUT, "agent.yaml")
    assert [d.message for d in document.errors] == []
    assert emit(document) == LAYOUT


def test_nothing_is_an_empty_map() -> None:
    assert emit(Document(Config(), Origin())) == "{}\n"


def test_fields_keep_the_order_they_were_written_in() -> None:
    text = "vrrp_script:\n  a:\n    fall: 2\n    script: x\n    interval: 1\n"
    assert emit(bind(text, "agent.yaml")) == text


def test_without_an_origin_fields_stand_in_the_schemas_order() -> None:
    config = Config(vrrp_script={"a": VrrpScript(fall=2, script="x", interval=1_500_000)})
    assert emit(Document(config, Origin())) == "vrrp_script:\n  a:\n    script: x\n    interval: 1.5\n    fall: 2\n"


def test_a_line_with_its_first_word_alone_is_that_word() -> None:
    config = Config(vrrp_script={"a": VrrpScript(user=UserGroup(user="nobody"), weight=ScriptWeight(weight=5))})
    assert emit(Document(config, Origin())) == "vrrp_script:\n  a:\n    weight: 5\n    user: nobody\n"


def test_a_line_too_long_for_one_line_takes_several() -> None:
    user, group = "u" * 60, "g" * 60
    config = Config(vrrp_script={"a": VrrpScript(user=UserGroup(user=user, group=group))})
    assert emit(Document(config, Origin())).splitlines()[2:] == [
        "    user:",
        f"      user: {user}",
        f"      group: {group}",
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("/bin/true", "/bin/true"),
        ("no", '"no"'),
        ("1234", '"1234"'),
        ("12:30", '"12:30"'),
        ("0777", '"0777"'),
        ("1e3", '"1e3"'),
        ("2001-12-14", '"2001-12-14"'),
        ("0x1f", '"0x1f"'),
        ("~", '"~"'),
        ("null", '"null"'),
        ("=", '"="'),
        ("<<", '"<<"'),
        (".inf", '".inf"'),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::", '"fe80::"'),
        ("::1", '"::1"'),
        ("a#b", "a#b"),
        ("a #b", '"a #b"'),
        ("a: b", '"a: b"'),
        ("@x", '"@x"'),
        ("{x}", '"{x}"'),
        ('say "x"', 'say "x"'),
        ('"x"', "'\"x\"'"),
        ("it's", "it's"),
        ("'x' \"y\"", "'''x'' \"y\"'"),
        ("a\\b", "a\\b"),
        (" x", '" x"'),
        ("x ", '"x "'),
        ("a  b", '"a  b"'),
        ("tab\there", '"tab\\there"'),
        ("\x07", '"\\x07"'),
        ("a\n", '"a\\n"'),
        ("naïve 名", "naïve 名"),
    ],
)
def test_quotes_stand_exactly_where_a_reader_would_err(value: str, written: str) -> None:
    text = emit(Document(Config(vrrp_script={"a": VrrpScript(script=value)}), Origin()))
    assert text.splitlines()[2] == f"    script: {written}"


def test_carried_blocks_are_literal_text() -> None:
    config = Config(x_keepalived=("frobnicate yes", "block {\n  inner\n\n}", " indented\nfirst"))
    assert emit(Document(config, Origin())) == (
        'x-keepalived:\n  - frobnicate yes\n  - |-\n    block {\n      inner\n\n    }\n  - " indented\\nfirst"\n'
    )


def test_characters_that_yaml_cannot_hold_become_blanks_in_comments() -> None:
    origin = Origin()
    origin.child("vrrp_script").above = ["a\x07b\u2028c", "\x0c", "tab\there"]
    text = emit(Document(Config(vrrp_script={}), origin))
    assert text == "# a b c\n#\n# tab\there\nvrrp_script: {}\n"
    assert not bind(text, "agent.yaml").diagnostics


def test_a_name_longer_than_yamls_simple_keys() -> None:
    config = Config(vrrp_script={"n" * 2000: VrrpScript(script="x")})
    document = bind(emit(Document(config, Origin())), "agent.yaml")
    assert not document.diagnostics
    assert document.config == config


def test_speed() -> None:
    """A tenth of what a command line may take here; a regression to quadratic time is what this is for."""
    scripts = {
        f"s{n}": VrrpScript(script=f"/bin/chk {n}", interval=(n + 1) * 1000, fall=3, rise=2) for n in range(4600)
    }
    document = Document(Config(vrrp_script=scripts), Origin())
    start = time.perf_counter()
    text = emit(document)
    middle = time.perf_counter()
    again = bind(text, "agent.yaml")
    end = time.perf_counter()
    assert text.count("\n") > 23_000
    assert again.config == document.config
    assert middle - start < 5
    assert end - middle < 5
