from __future__ import annotations

import sys

import pytest
from msgspec import UNSET

from kactl.keepalived_conf.load import load
from kactl.keepalived_conf.preprocess import ExpandOptions
from support.conversion import assert_stable, codes, document_of

INSTANCE = (
    "vrrp_instance {} {{\n interface eth0\n virtual_router_id {}\n virtual_ipaddress {{\n 10.0.0.{}\n }}\n{}\n}}\n"
)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "foo bar\n", "hello {\n world\n}\n", "$A=1\n"])
def test_a_file_without_any_known_keyword_is_refused(text: str):
    assert codes(document_of(text).errors)[-1] == ("no-known-keyword", 0, "refused")


def test_includes_that_are_not_here_are_the_reason_why_there_is_nothing():
    def read_file(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", path)

    (error,) = document_of("include /etc/keepalived/lvs.conf\n", read_file=read_file).errors
    assert error.code == "no-known-keyword"
    assert "files that it includes" in error.message


def test_a_file_with_one_known_keyword_is_taken():
    assert document_of("foo bar\nglobal_defs {\n}\n").errors == []


def test_an_unknown_tracker_is_carried():
    document = document_of(INSTANCE.format("V", 1, 1, " track_script {\n nosuch\n }"))
    assert not document.errors
    assert document.config.vrrp_instance["V"].track_script == ()
    assert document.config.vrrp_instance["V"].x_keepalived == ("track_script {\n  nosuch\n}",)
    assert ("unknown-reference", 8, "carried") in codes(document.diagnostics)


def test_a_member_that_does_not_exist_is_left_out():
    document = document_of(INSTANCE.format("V", 1, 1, "") + "vrrp_sync_group G {\n group {\n V nosuch\n }\n}\n")
    group = document.config.vrrp_sync_group["G"]
    assert (group.group, group.x_keepalived) == (("V",), UNSET)
    assert ("unknown-reference", 11, "repaired") in codes(document.diagnostics)


def test_an_instance_whose_interface_cannot_be_used_names_it():
    name = "interface-of-the-lan"  # longer than the 15 characters an interface name can have
    text = INSTANCE.format("V", 1, 1, "").replace("eth0", name)
    (finding,) = document_of(text).diagnostics
    assert (finding.code, finding.place.line) == ("missing-interface", 1)
    assert f"no usable interface (`interface {name}`)" in finding.message


def test_an_unknown_block_ends_the_block_around_it():
    # keepalived 2.2.7: "Unexpected '{' - ignoring", and `Unknown keyword` for what follows in the instance
    text = INSTANCE.format("V", 1, 1, " typo { # why\n priority 7\n }\n # how\n priority 200 # high\n preempt_delay 3")
    text += INSTANCE.format("W", 2, 2, " priority 201")
    document = document_of(text)
    assert not document.errors
    one, two = document.config.vrrp_instance["V"], document.config.vrrp_instance["W"]
    assert (one.priority, one.preempt_delay, two.priority) == (UNSET, UNSET, 201)
    assert one.x_keepalived == ("typo { # why\n  priority 7\n}\n# how\npriority 200 # high\npreempt_delay 3",)
    (finding,) = document.diagnostics
    assert (finding.code, finding.place.line, finding.effect.value) == ("unknown-keyword", 7, "carried")
    assert "ends the block around it" in finding.message
    assert_stable(text)


def test_an_unknown_block_ends_the_blocks_around_it_one_by_one():
    real = "real_server 10.0.0.{} 80 {{\n weight {}\n{}\n}}\n"
    text = "virtual_server 10.0.0.9 80 {\n protocol TCP\n # none\n persistence_timeout 0 # off\n"
    text += real.format(1, 5, " # before\n typo {\n }\n inhibit_on_failure") + "# second\n" + real.format(2, 6, "")
    text += "}\nvrrp_script s {\n script /x\n}\n"
    document = document_of(text)
    (server,) = document.config.virtual_server
    (first,) = server.real_server
    assert (first.weight, first.inhibit_on_failure) == (5, UNSET)
    assert first.x_keepalived == ("typo {\n}\ninhibit_on_failure",)
    lines = "persistence_timeout 0 # off\n# second\nreal_server 10.0.0.2 80 {\n  weight 6\n}"
    assert server.x_keepalived == (lines,)
    assert list(document.config.vrrp_script) == ["s"]
    conf = assert_stable(text)
    assert all(comment in conf for comment in ("# none", "# off", "# before", "# second"))


def test_an_unknown_block_at_the_root_ends_nothing():
    document = document_of("typo {\n x\n}\n" + INSTANCE.format("V", 1, 1, ""))
    assert document.config.x_keepalived == ("typo {\n  x\n}",)
    assert list(document.config.vrrp_instance) == ["V"]


def test_a_name_that_is_not_defined_is_one_finding():
    document = document_of(INSTANCE.format("V", 1, 1, " priority $PRIO\n garp_master_delay $PRIO"))
    assert [(d.code, d.place.line) for d in document.diagnostics] == [("repaired-value", 7), ("invalid-value", 8)]
    assert document.diagnostics[0].hint == "give it a value with --define PRIO=VALUE"


def test_local_addresses_of_another_kernel_are_carried():
    document = document_of("local_address_group laddr_g1 {\n 192.0.2.1-9\n}\n")
    assert codes(document.diagnostics) == [("legacy-keyword", 1, "carried")]


TRACKER = "vrrp_script s {\n script /x\n}\n"


def test_a_tracker_that_is_defined_further_down_has_no_effect():
    # keepalived 2.2.7: "(V) track script s not found, ignoring..."
    text = INSTANCE.format("V", 1, 1, " track_script {\n s\n }") + TRACKER
    document = document_of(text)
    assert document.config.vrrp_instance["V"].track_script == ()
    assert ("defined-later", 8, "repaired") in codes(document.diagnostics)
    conf = assert_stable(text)
    assert conf.index("vrrp_script") < conf.index("vrrp_instance")


def test_a_definition_that_is_carried_stays_above_what_names_it():
    # keepalived leaves a session without neighbour out only in its BFD process; VRRP tracks it all the same.
    text = "foo\nbfd_instance b {\n min_tx 100\n}\n" + INSTANCE.format("V", 1, 1, " track_bfd {\n b\n }")
    conf = assert_stable(text)
    assert conf.index("bfd_instance b") < conf.index("vrrp_instance V") < conf.index("foo")


def test_a_tracker_that_is_defined_above_works():
    document = document_of(TRACKER + INSTANCE.format("V", 1, 1, " track_script {\n s\n }"))
    assert [t.name for t in document.config.vrrp_instance["V"].track_script] == ["s"]
    assert "defined-later" not in {d.code for d in document.diagnostics}


def test_a_session_that_is_defined_further_down_is_not_checked():
    # keepalived 2.2.7: "BFD_CHECK - BFD b not configured"
    text = (
        "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 10.0.0.2 80 {\n"
        "  BFD_CHECK {\n   name b\n  }\n }\n}\nbfd_instance b {\n neighbor_ip 10.0.0.9\n}\n"
    )
    document = document_of(text)
    assert document.config.virtual_server[0].real_server[0].bfd_check is UNSET
    assert_stable(text)


def test_what_the_agent_would_refuse_is_carried():
    text = INSTANCE.format("V", 1, 1, "") + "vrrp_instance W {\n virtual_router_id 2\n priority 5\n}\n"
    document = document_of(text)
    assert not document.errors
    assert list(document.config.vrrp_instance) == ["V"]
    assert "vrrp_instance W {" in document.config.x_keepalived[0]
    assert_stable(text)


def test_leaving_one_thing_out_can_leave_another_incomplete():
    text = (
        "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 10.0.0.2 80 {\n"
        "  BFD_CHECK {\n   name nosuch\n  }\n }\n}\n"
    )
    document = document_of(text)
    assert not document.errors
    (server,) = document.config.virtual_server[0].real_server
    assert server.x_keepalived == ("BFD_CHECK {\n  name nosuch\n}",)
    assert_stable(text)


def test_included_files_are_sources_and_have_their_own_places():
    files = {"/etc/a.conf": b"global_defs {\n bogus 1\n}\n"}
    options = ExpandOptions(
        read_file=files.__getitem__, glob=lambda pattern: [pattern], file_mode=lambda path: 0o100644
    )
    document = load(b"include /etc/a.conf\n", "/etc/main.conf", options).document
    assert not document.errors
    assert list(document.sources) == ["/etc/main.conf", "/etc/a.conf"]
    (unknown,) = [d for d in document.diagnostics if d.code == "unknown-keyword"]
    assert (unknown.place.file, unknown.place.line) == ("/etc/a.conf", 2)


def test_config_id_and_definitions_choose():
    text = "$NAME=file\nglobal_defs {\n@a router_id $NAME\n@^a router_id other\n}\n"
    assert document_of(text, config_id="a").config.global_defs.router_id == "file"
    assert document_of(text, config_id="b").config.global_defs.router_id == "other"
    assert document_of(text, config_id="a", defines={"NAME": "mine"}).config.global_defs.router_id == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "vrrp_script s {\n script \"/x 'a b'\" # c\n bogus \\# x\n}\n",
        "vrrp_script s {\n script /x\n}\nvrrp_script s {\n script /y # z\n}\n",
        INSTANCE.format("V", 1, 300, " virtual_ipaddress {\n # a\n x.x.x.x # b\n }"),
        "virtual_server_group g {\n 10.0.0.1 80\n bad\n}\nvirtual_server group g {\n protocol TCP\n}\n",
        INSTANCE.format("V", 1, 1, " track_interface eth0\n authentication {\n auth_type PASS # x\n } # y"),
        "global_defs {\n # only comments\n}\nvrrp_sync_group G {\n group {\n }\n}\n",
        "static_routes {\n 10.0.0.0/8 via 10.0.0.1 dev eth0\n 10.0.0.0/8 via 10.0.0.1 bogus\n}\n",
    ],
)
def test_there_back_and_there_again_is_the_same(text: str):
    assert_stable(text)


def test_outcomes_count_every_statement():
    loaded = load(b"vrrp_script s {\n script /x\n interval 2 3\n bogus\n}\n", "f")
    assert {outcome.value: count for outcome, count in loaded.outcomes.items()} == {
        "converted": 2,
        "repaired": 1,
        "carried": 1,
    }


@pytest.mark.parametrize(("marker", "count"), [("", 7), ("${_HASH}", 1)])
def test_a_sequence_behind_a_definition_that_may_hide_it(marker: str, count: int):
    # keepalived 2.2.7 has all the addresses with an empty definition, and none of the sequence behind a `#`.
    text = (
        "$V= \\\n 10.0.0.${N} dev eth0 \\\n 10.0.1.${N} dev eth0\n$V3= \\\n ~SEQ(N,1,3) $V\n"
        f"$E={marker}\n" + INSTANCE.format("V", 1, "9\n $E  $V3", "")
    )
    document = document_of(text)
    assert not document.errors
    assert len(document.config.vrrp_instance["V"].virtual_ipaddress) == count


def test_a_misspelt_keyword_is_said_even_when_its_block_is_carried() -> None:
    """It may be the very reason: without the interface that was meant, the instance cannot be used."""
    text = b"vrrp_instance A {\n  interfce eth0\n  virtual_router_id 51\n  virtual_ipaddress {\n    10.0.0.1\n  }\n}\n"
    found = {(d.code, d.place.line): d.hint for d in load(text, "keepalived.conf").document.diagnostics}
    assert found["unknown-keyword", 2] == "did you mean `interface`?"
    assert ("missing-interface", 1) in found


@pytest.mark.parametrize("line", ["interfaec eth0", "virtual_ipaddress"])
def test_many_faults_take_work_in_proportion(line: str):
    text = f"{line}\n".encode()

    def calls(count: int) -> int:
        data = b"vrrp_instance V {\n interface eth0\n virtual_router_id 1\n" + text * count + b"}\n"
        counted = 0

        def count_calls(_frame: object, event: str, _argument: object) -> None:
            nonlocal counted
            counted += event in ("call", "c_call")

        sys.setprofile(count_calls)
        try:
            load(data, "a.conf")
        finally:
            sys.setprofile(None)
        return counted

    assert calls(2_000) < 5 * calls(500)
