from __future__ import annotations

import pytest

from kactl.keepalived_conf.writer import write
from kactl_agent.config.bind import bind
from support.conversion import assert_stable, codes, to_conf, to_yaml


def test_blocks_lines_and_entries():
    yaml = """\
global_defs:
  router_id: lb1
  notification_email: [a@example.org, '"Ops" <b@example.org>']
vrrp_instance:
  VI_1:
    interface: eth0
    virtual_router_id: 51
    nopreempt: true
    dont_track_primary: false
    smtp_alert: false
    virtual_ipaddress:
      - 192.0.2.10/24
      - {address: 192.0.2.11/24, dev: eth1, label: "eth1:1"}
virtual_server:
  - address: 192.0.2.10
    port: 443
    protocol: TCP
    real_server:
      - {address: 10.0.0.1, port: 8443, weight: 2, TCP_CHECK: {connect_timeout: 1.5}}
"""
    with pytest.raises(AssertionError, match="unwritable-value"):
        to_conf(yaml)  # a double quote has no way into a plain word
    assert (
        to_conf(yaml.replace('"Ops" ', ""))
        == """\
global_defs {
  router_id lb1
  notification_email {
    a@example.org
    <b@example.org>
  }
}

vrrp_instance VI_1 {
  interface eth0
  virtual_router_id 51
  nopreempt
  smtp_alert off
  virtual_ipaddress {
    192.0.2.10/24
    192.0.2.11/24 dev eth1 label eth1:1
  }
}

virtual_server 192.0.2.10 443 {
  protocol TCP
  real_server 10.0.0.1 8443 {
    weight 2
    TCP_CHECK {
      connect_timeout 1.5
    }
  }
}
"""
    )


def test_comments_stand_where_they_stood():
    text = """\
# head
global_defs { # open
  # above
  router_id lb1 # behind
  # last
} # close

# two
# lines
vrrp_instance V {
  interface eth0
  virtual_router_id 1
  virtual_ipaddress { # vips
    # first
    10.0.0.1 # one
    # none left
  }
}
# end
"""
    assert assert_stable(text) == text


def test_order_is_the_source_s():
    server = "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_algo rr\n  lb_kind NAT\n}\n"
    text = server + "\nglobal_defs {\n  router_id x\n}\n"
    assert assert_stable(text) == text


def test_definitions_are_written_above_the_blocks_that_name_them():
    instance = "    interface: eth0\n    virtual_router_id: 1\n    track_script: [s]\n"
    conf = to_conf(f"vrrp_instance:\n  V:\n{instance}vrrp_script:\n  s: {{script: /x}}\n")
    assert conf.startswith("vrrp_script s {")


def test_carried_text_is_written_last_and_indented():
    yaml = """\
vrrp_script:
  s:
    x-keepalived:
      - bogus 1
      - |-
        foo {
          bar
        }
    script: /bin/true
"""
    assert to_conf(yaml) == ("vrrp_script s {\n  script /bin/true\n  bogus 1\n  foo {\n    bar\n  }\n}\n")


def test_comments_of_yaml_that_has_no_line_of_its_own():
    yaml = """\
# all scripts
vrrp_script: # of mine
  s:
    script: /bin/true
    user:
      user: root # not nice
      # at all
      group: wheel
virtual_server:
  - address: 10.0.0.1 # the service
    port: 80
    protocol: TCP
"""
    conf = to_conf(yaml)
    for comment in ("all scripts", "of mine", "not nice", "at all", "the service"):
        assert f"# {comment}\n" in conf
    assert to_yaml(conf)


def test_long_lists_are_several_lines():
    cpus = " ".join(str(n) for n in range(200))
    conf = assert_stable(f"global_defs {{\n vrrp_cpu_affinity {cpus}\n}}\n")
    assert conf.count("vrrp_cpu_affinity") > 4
    assert max(len(line) for line in conf.splitlines()) < 140


def test_a_list_that_keepalived_takes_from_one_line_alone_is_one_line():
    arguments = " ".join(f"--argument-{n}" for n in range(20))
    conf = assert_stable(f"vrrp_track_process p {{\n process /usr/bin/agent {arguments}\n}}\n")
    assert f"process /usr/bin/agent {arguments}\n" in conf


def findings(yaml: str, read_secret=lambda path: f"text of {path}"):
    document = bind(yaml, "agent.yaml")
    assert not document.errors
    written = write(document, read_secret)
    return written.text, codes(written.findings)


PASSWORD = """\
vrrp_instance:
  V:
    interface: eth0
    virtual_router_id: 1
    authentication:
      auth_type: PASS
      auth_pass: {}
"""


def test_secrets_of_the_environment_stay_there():
    text, said = findings(PASSWORD.format("{env: VRRP_PASS}"))
    assert 'auth_pass "${_ENV VRRP_PASS}"\n' in text
    assert said == [("secret-from-environment", 7, "changed")]


def test_secrets_of_files_are_written_out():
    text, said = findings(PASSWORD.format("{file: /run/pw}"), lambda path: "geheim")
    assert "auth_pass geheim\n" in text
    assert said == [("secret-inlined", 7, "changed")]


def test_secrets_that_cannot_be_read_are_an_error():
    def missing(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    _, said = findings(PASSWORD.format("{file: /run/pw}"), missing)
    assert said == [("secret-unreadable", 7, "refused")]


def test_carried_text_that_would_swallow_what_follows_is_an_error():
    _, said = findings("x-keepalived:\n  - foo\n  - bar {\nglobal_defs: {router_id: x}\n")
    assert said == [("unwritable-value", 3, "refused")]


def test_values_that_no_line_can_say_are_an_error():
    _, said = findings('global_defs:\n  router_id: "${_PWD}"\n')
    assert said == [("unwritable-value", 2, "refused")]


def test_what_keepalived_ignores_above_another_keyword_stands_behind_it() -> None:
    """Scheduler flags count behind lb_algo alone, sorry_server_inhibit behind sorry_server (seen with 2.2.7)."""
    text = """virtual_server:
  - address: 192.0.2.1
    port: 80
    hashed: true
    sh-port: true
    sorry_server_inhibit: true
    lb_algo: sh
    sorry_server: {address: 192.0.2.9, port: 80}
"""
    order = [line.split()[0] for line in to_conf(text).splitlines() if line.startswith("  ") and line.split()[0] != "}"]
    assert order == ["lb_algo", "sh-port", "hashed", "sorry_server", "sorry_server_inhibit"]
