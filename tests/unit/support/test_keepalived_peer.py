from __future__ import annotations

from pathlib import Path

import pytest

from support.keepalived_peer import interfaces_named, jobs_of, text_with_includes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("vrrp_instance V { interface eth0\n}", {"eth0"}),
        ("$IF=bond0.7\nvrrp_instance V {\n interface ${IF}\n}", {"bond0.7"}),
        ("track_interface {\n eth1 weight 10\n eth2\n}", {"eth1", "eth2"}),
        ("192.0.2.1/24 dev br-lan label br-lan:1", {"br-lan"}),
        ("iif tun0 oif ppp0 # dev eth9", {"tun0", "ppp0"}),
        ("interfaces {\n eth0 eth1\n}", {"eth0", "eth1"}),
        ("interface lo\ninterface nosuch0\ninterface a-name-that-is-too-long\n", set()),
    ],
)
def test_interfaces_are_found_by_the_words_before_them(text: str, names: set[str]) -> None:
    assert interfaces_named(text) == names


def test_included_files_count_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "main.conf").write_text("include conf.d/{a,b}*.conf\n")
    (tmp_path / "conf.d" / "a1.conf").write_text("interface eth1\n")
    (tmp_path / "conf.d" / "b.conf").write_text("interface eth2\ninclude c.conf\n")
    (tmp_path / "conf.d" / "c.conf").write_text("interface eth3\n")
    (tmp_path / "conf.d" / "d.conf").write_text("interface eth4\n")
    assert interfaces_named(text_with_includes(tmp_path / "main.conf")) == {"eth1", "eth2", "eth3"}


def test_files_that_are_compared_find_the_same_interfaces(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("interface eth1\n")
    (tmp_path / "b").write_text("net_namespace blue\ninterface eth0\n")
    first, second = jobs_of([tmp_path / "a", tmp_path / "b"])
    assert first.interfaces == second.interfaces == ("eth0", "eth1")
    assert first.net_namespaces == second.net_namespaces == ("blue",)
