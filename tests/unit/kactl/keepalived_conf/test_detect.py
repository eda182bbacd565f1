from __future__ import annotations

import pytest

from kactl.keepalived_conf.detect import looks_like_keepalived


@pytest.mark.parametrize(
    "text",
    [
        "! Configuration File for keepalived\n",
        "# comment\nglobal_defs {\n}\n",
        "vrrp_instance VI_1\n{\n state MASTER\n}\n",
        "$IF=eth0\nvrrp_instance V {\n}\n",
        "@^a net_namespace x\n",
        "include /etc/keepalived/*.conf\n",
        "\ufeffglobal_defs {\n",
        "foo {\n bar: baz\n}\n",
        "net_namespace low\n",
        "",
        "nonsense\n",
        "OS: rocky9\n# how it was set up\nglobal_defs {\n}\n",
        "Notes:\n! Configuration File for keepalived\n",
    ],
)
def test_keepalived_conf(text: str):
    assert looks_like_keepalived(text)


@pytest.mark.parametrize(
    "text",
    [
        "global_defs:\n  router_id: x\n",
        "# comment\n---\nvrrp_script: {}\n",
        "{vrrp_script: {s: {script: x}}}\n",
        "{}\n",
        '"global_defs": {}\n',
        "x-anchors:\n  a: &a 1\n",
        "include: other.yaml\n",
        "vrrp_script: {s: {script: x}}\n",
        "vrrp_instanc:\n  V: {\n    interface: eth0\n  }\n",
        "vrrp_instances:\n  V:\n    state: MASTER\nglobal_defs:\n  router_id: x\n",
        "x-keepalived:\n  - |-\n    global_defs {\n    }\n",
    ],
)
def test_yaml(text: str):
    assert not looks_like_keepalived(text)
