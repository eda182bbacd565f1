"""Files: includes with places in the right file, what cannot be read, and when checks are silent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kactl_agent.config.diagnostics import Place, Severity
from kactl_agent.config.document import Document
from kactl_agent.config.load import MAX_BYTES, load_bytes, load_file
from kactl_agent.config.resolve import resolve
from kactl_agent.config.schema.shapes import SecretSource
from kactl_agent.config.schema.track import VrrpScript


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def errors(document: Document) -> list[tuple[str, int, int, str]]:
    return [(Path(d.place.file).name, d.place.line, d.place.column, d.code) for d in document.errors]


INSTANCE = "  {name}: {{interface: eth0, virtual_router_id: {number}, virtual_ipaddress: [192.0.2.{number}]}}\n"


def test_included_names_are_united_and_lists_go_on(files: Path) -> None:
    write(
        files,
        main="include: [one.yaml, two.yaml]\nvrrp_script: {a: {script: /bin/a}}\nstatic_ipaddress: [192.0.2.1]\n",
        one="vrrp_script: {b: {script: /bin/b}}\nglobal_defs: {router_id: x}\n",
        two="static_ipaddress: [192.0.2.2]\nglobal_defs: {vrrp_version: 3}\n",
    )
    document = load_file(files / "main.yaml")
    assert errors(document) == []
    config = document.config
    assert config.vrrp_script == {"a": VrrpScript(script="/bin/a"), "b": VrrpScript(script="/bin/b")}
    assert [entry.address for entry in config.static_ipaddress] == ["192.0.2.1", "192.0.2.2"]
    assert (config.global_defs.router_id, config.global_defs.vrrp_version) == ("x", 3)
    assert Path(document.origin.find(("static_ipaddress", 1)).file).name == "two.yaml"
    assert Path(document.origin.find(("vrrp_script", "b", "script")).file).name == "one.yaml"
    assert {Path(name).name for name in document.sources} == {"main.yaml", "one.yaml", "two.yaml"}


def test_a_pattern_includes_in_order_of_names(files: Path) -> None:
    (files / "conf.d").mkdir()
    for number in (3, 1, 2):
        (files / "conf.d" / f"{number}.yaml").write_text(f"static_ipaddress: [192.0.2.{number}]\n")
    write(files, main="include: conf.d/*.yaml\n")
    document = load_file(files / "main.yaml")
    assert [entry.address for entry in document.config.static_ipaddress] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_paths_are_relative_to_the_file_that_includes(files: Path) -> None:
    (files / "deep").mkdir()
    (files / "deep" / "one.yaml").write_text("include: two.yaml\n")
    (files / "deep" / "two.yaml").write_text("global_defs: {router_id: x}\n")
    write(files, main="include: deep/one.yaml\n")
    assert load_file(files / "main.yaml").config.global_defs.router_id == "x"


def test_what_both_say_is_an_error_at_both_places(files: Path) -> None:
    write(
        files,
        main="include: one.yaml\nglobal_defs:\n  router_id: x\nvrrp_script:\n  a: {script: x}\n",
        one="global_defs:\n  router_id: y\nvrrp_script:\n  a: {script: y}\n",
    )
    document = load_file(files / "main.yaml")
    assert errors(document) == [("one.yaml", 2, 14, "duplicate-key"), ("one.yaml", 4, 3, "duplicate-key")]
    assert document.errors[0].hint.endswith("main.yaml, line 3, column 14")


def test_faults_of_an_included_file_are_placed_in_it(files: Path) -> None:
    write(files, main="include: one.yaml\n", one="\n\nvrrp_script: {a: {script: x, rise: many}}\n")
    assert errors(load_file(files / "main.yaml")) == [("one.yaml", 3, 36, "bad-value")]


def test_circles_and_depth_are_bounded(files: Path) -> None:
    write(files, main="include: one.yaml\n", one="include: main.yaml\n")
    assert errors(load_file(files / "main.yaml")) == [("one.yaml", 1, 10, "include")]
    for number in range(30):
        write(files, **{f"d{number}": f"include: d{number + 1}.yaml\n"})
    assert errors(load_file(files / "d0.yaml")) == [("d15.yaml", 1, 10, "include")]


def test_a_bomb_of_includes_is_stopped(files: Path) -> None:
    for number in range(12):
        write(files, **{f"b{number}": f"include: [{', '.join([f'b{number + 1}.yaml'] * 8)}]\n"})
    write(files, b12="{}\n")
    assert {d.code for d in load_file(files / "b0.yaml").errors} == {"include"}


def test_what_is_missing_is_said_where_it_is_included(files: Path) -> None:
    write(files, main="include: [nothing.yaml, none*.yaml]\n")
    document = load_file(files / "main.yaml")
    assert errors(document) == [("main.yaml", 1, 11, "unreadable")]
    assert [d.severity for d in document.diagnostics] == [Severity.ERROR, Severity.WARNING]


@pytest.mark.parametrize(
    ("data", "code", "line", "column"),
    [
        (b"", "empty", 1, 1),
        (b"global_defs: {router_id: \xff}", "encoding", 1, 26),
        (b"{}\n\xc3\xa9\xe9", "encoding", 2, 2),
        ("{}".encode("utf-16"), "encoding", 1, 1),
        (b"{}\n# \x00", "control-characters", 2, 3),
        (b"x" * (MAX_BYTES + 1), "too-large", 0, 0),
    ],
)
def test_bytes_that_are_no_configuration(data: bytes, code: str, line: int, column: int) -> None:
    assert errors(load_bytes(data, "a.yaml")) == [("a.yaml", line, column, code)]


def test_a_byte_order_mark_is_passed_over() -> None:
    document = load_bytes(b"\xef\xbb\xbfglobal_defs: {rooter_id: x}", "a.yaml")
    assert errors(document) == [("a.yaml", 1, 15, "unknown-keyword")]


def test_files_that_cannot_be_read(files: Path) -> None:
    assert errors(load_file(files)) == [(files.name, 0, 0, "unreadable")]
    assert errors(load_file(files / "none.yaml")) == [("none.yaml", 0, 0, "unreadable")]
    assert load_file("a\0b").errors[0].code == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission(files: Path) -> None:
    write(files, main="{}")
    (files / "main.yaml").chmod(0)
    assert errors(load_file(files / "main.yaml")) == [("main.yaml", 0, 0, "unreadable")]


def test_references_are_checked(files: Path) -> None:
    write(files, main="vrrp_instance:\n" + INSTANCE.format(name="A", number=1).replace("}", ", track_script: [none]}"))
    found = load_file(files / "main.yaml").diagnostics
    assert any("none" in d.message for d in found)


GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "convert"


@pytest.mark.parametrize("name", sorted(path.parent.name for path in GOLDEN.glob("*/expected.yaml")))
def test_what_is_read_without_its_places_is_the_same_and_so_is_what_is_said_of_it(name: str) -> None:
    data = (GOLDEN / name / "expected.yaml").read_bytes()
    plain, whole = (load_bytes(data, "agent.yaml", environ={}, whole=said) for said in (False, True))
    assert plain.config == whole.config
    assert plain.diagnostics == whole.diagnostics
    assert resolve(plain).diagnostics == resolve(whole).diagnostics


def test_places_are_looked_up_when_they_are_wanted_in_the_text_that_was_read(files: Path) -> None:
    """Though its files are others by now, or gone."""
    server = "{address: 192.0.2.1, port: 80, protocol: TCP, lb_algo: rr, lb_kind: NAT, ops: true}"
    write(files, one=f"static_ipaddress: []\nvirtual_server:\n- {server}\n")
    read: list[str] = []

    def read_file(path: str) -> bytes:
        read.append(Path(path).name)
        return Path(path).read_bytes()

    data = b"include: '*e.yaml'\n"
    document = load_bytes(data, str(files / "main.yaml"), read_file=read_file, secrets=False, whole=False)
    assert document.whole_origin is None  # a check has said that it has no real servers
    assert read == ["one.yaml"]
    write(files, one="track_file: {a: {file: /x}}\n")
    document = load_bytes(data, str(files / "main.yaml"), whole=False)
    (files / "one.yaml").unlink()
    assert document.whole_origin is not None
    path = ("track_file", "a", "file")
    assert (document.origin.find(path).line, document.origin.find(path).column) == (1, 14)
    assert document.place(path) == Place(str(files / "one.yaml"), 1, 24, 2)
    assert document.whole_origin is None


def test_a_block_with_a_fault_is_not_checked_for_what_it_lacks(files: Path) -> None:
    write(files, main="vrrp_instance:\n  A:\n    interface: eth0\n    virtual_router_id: many\n")
    assert [code for *_, code in errors(load_file(files / "main.yaml"))] == ["bad-value"]


def test_secrets_can_be_left_where_they_are(files: Path) -> None:
    write(
        files,
        main="vrrp_instance:\n  A:\n    interface: eth0\n    virtual_router_id: 1\n"
        "    virtual_ipaddress: [192.0.2.1]\n    authentication: {auth_type: PASS, auth_pass: {env: PASS}}\n",
    )
    document = load_file(files / "main.yaml", secrets=False)
    assert document.config.vrrp_instance["A"].authentication.auth_pass == SecretSource(env="PASS")
    assert [code for *_, code in errors(load_file(files / "main.yaml", environ={}))] == ["secret"]
    loaded = load_file(files / "main.yaml", environ={"PASS": "hunter2"})
    assert errors(loaded) == []
    assert loaded.config.vrrp_instance["A"].authentication.auth_pass == "hunter2"
