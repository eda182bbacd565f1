from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path

import pytest

from kactl.app import run
from kactl.environment import Environment
from kactl.exit_codes import ExitCode

CONF = "# mine\nvrrp_script s {\n  script /bin/true # x\n}\n"
YAML = "vrrp_script:\n  # mine\n  s:\n    script: /bin/true # x\n"


class Result:
    def __init__(self, code: int, environment: Environment) -> None:
        assert isinstance(environment.stdout, io.StringIO)
        assert isinstance(environment.stderr, io.StringIO)
        self.code = code
        self.out = environment.stdout.getvalue()
        self.talk = environment.stderr.getvalue()
        assert "Traceback" not in self.talk


def kactl(*arguments: str | Path, stdin: bytes = b"", **variables: str) -> Result:
    environment = Environment(io.BytesIO(stdin), io.StringIO(), io.StringIO(), variables)
    return Result(run([str(a) for a in arguments], environment), environment)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "keepalived.conf"
    path.write_text(CONF)
    return path


def test_to_yaml_on_stdout(conf: Path):
    result = kactl("convert", conf)
    assert (result.code, result.out) == (ExitCode.FINE, YAML)
    assert result.talk == f"{conf}: 2 statements: 2 converted; no findings\n"


def test_back_on_stdout(tmp_path: Path):
    path = tmp_path / "agent.yaml"
    path.write_text(YAML)
    result = kactl("convert", path)
    assert (result.code, result.out) == (ExitCode.FINE, CONF)


def test_standard_input_and_output():
    assert kactl("convert", "-", "-o", "-", stdin=CONF.encode()).out == YAML
    assert kactl("convert", "-", stdin=YAML.encode()).out == CONF


def test_to_says_what_the_source_is(tmp_path: Path):
    path = tmp_path / "x"
    path.write_text("{}\n")
    assert kactl("convert", path).code == ExitCode.FINE
    result = kactl("convert", path, "--to", "yaml")
    assert result.code == ExitCode.INVALID


def test_a_new_file_is_private(conf: Path, tmp_path: Path):
    target = tmp_path / "agent.yaml"
    assert kactl("convert", conf, "-o", target).code == ExitCode.FINE
    assert target.read_text() == YAML
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["agent.yaml", "keepalived.conf"]


def test_an_existing_file_keeps_its_mode_and_a_link_stays_one(conf: Path, tmp_path: Path):
    target, link = tmp_path / "real.yaml", tmp_path / "agent.yaml"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert kactl("convert", conf, "-o", link).code == ExitCode.FINE
    assert link.is_symlink()
    assert target.read_text() == YAML
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_file_may_be_converted_in_place(conf: Path):
    assert kactl("convert", conf, "-o", conf).code == ExitCode.FINE
    assert conf.read_text() == YAML
    assert kactl("convert", conf, "-o", conf).code == ExitCode.FINE
    assert conf.read_text() == CONF


def test_findings_show_their_line_and_do_not_fail(conf: Path):
    conf.write_text("vrrp_script s {\n  script /bin/true\n  weigth 3\n}\n")
    result = kactl("convert", conf)
    assert result.code == ExitCode.FINE
    assert f"{conf}:3:3: warning[unknown-keyword]: " in result.talk
    assert "  3 |   weigth 3\n    |   ^^^^^^\n  hint: did you mean `weight`?\n" in result.talk


def test_strict_fails_on_any_finding_and_writes_nothing(conf: Path, tmp_path: Path):
    conf.write_text("global_defs {\n  lvs_flush_onstop\n}\n")
    target = tmp_path / "agent.yaml"
    target.write_text("old")
    assert kactl("convert", conf, "-o", target, "--strict").code == ExitCode.INVALID
    assert target.read_text() == "old"
    assert kactl("convert", conf, "-o", target).code == ExitCode.FINE


def test_the_report_accounts_for_everything(conf: Path, tmp_path: Path):
    conf.write_text(
        "$S=/bin/true\nvrrp_script s {\n  script $S\n  interval 1 2\n  bogus\n}\nglobal_defs {\n  lvs_flush_onstop\n}\n"
    )
    path = tmp_path / "report.json"
    assert kactl("convert", conf, "-o", tmp_path / "y", "--report", path).code == ExitCode.FINE
    report = json.loads(path.read_text())
    assert (report["schema_version"], report["to"], report["result"]) == (1, "yaml", "converted")
    assert report["statements"] == {"converted": 4, "repaired": 1, "carried": 1, "refused": 0}
    counts = {"changed": 0, "repaired": 1, "carried": 1, "refused": 0, "expanded": 1, "converted": 2}
    assert report["counts"] == counts
    assert [(f["code"], f["line"], f["effect"]) for f in report["findings"]] == [
        ("definition-expanded", 1, "converted"),
        ("extra-words", 4, "repaired"),
        ("unknown-keyword", 5, "carried"),
        ("deprecated-keyword", 8, "converted"),
    ]
    assert {f["file"] for f in report["findings"]} == {str(conf)}


def test_a_refusal_is_reported_too(conf: Path, tmp_path: Path):
    conf.write_text("vrrp_instance V {\n  interface\n")
    path = tmp_path / "report.json"
    result = kactl("convert", conf, "-o", tmp_path / "y", "--report", path, "--output", "json")
    assert result.code == ExitCode.INVALID
    assert json.loads(result.out) == json.loads(path.read_text())
    assert json.loads(result.out)["result"] == "refused"
    assert not (tmp_path / "y").exists()


def test_json_needs_a_file_for_the_result(conf: Path):
    assert kactl("convert", conf, "--output", "json").code == ExitCode.USAGE


def test_id_and_definitions(conf: Path):
    conf.write_text("$R=a\nglobal_defs {\n@n1 router_id $R\n@n2 router_id other\n}\n")
    assert "router_id: b\n" in kactl("convert", conf, "--id", "n1", "--define", "R=b").out
    assert "router_id: other\n" in kactl("convert", conf, "--id", "n2").out
    assert kactl("convert", conf, "--define", "1x=b").code == ExitCode.USAGE


def test_passwords_do_not_appear_in_talk(conf: Path):
    conf.write_text(
        "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.1\n }\n"
        " authentication {\n auth_type PASS\n auth_pass topsecret99\n }\n}\n"
    )
    result = kactl("convert", conf)
    assert "auth_pass: topsecre\n" in result.out
    assert "repaired-value" in result.talk
    assert "topsec" not in result.talk


def test_secrets_of_yaml_stay_in_the_environment(tmp_path: Path):
    path = tmp_path / "agent.yaml"
    path.write_text(
        "vrrp_instance:\n  V:\n    interface: eth0\n    virtual_router_id: 1\n    virtual_ipaddress: [10.0.0.1]\n"
        "    authentication: {auth_type: PASS, auth_pass: {env: PW}}\n"
    )
    result = kactl("convert", path, PW="hidden")
    assert result.code == ExitCode.FINE
    assert 'auth_pass "${_ENV PW}"' in result.out
    assert "secret-from-environment" in result.talk
    assert "hidden" not in result.out + result.talk


# Bad input: a diagnostic with the right exit code, the destination untouched, never a traceback.

INSTANCE = b"vrrp_instance V {\n  interface eth0\n  virtual_router_id 1\n  virtual_ipaddress {\n    10.0.0.1\n  }\n}\n"

BAD = {
    "empty": (b"", "no-known-keyword"),
    "comments only": (b"# nothing\n! here\n", "no-known-keyword"),
    "truncated": (INSTANCE[:-3], "missing-brace"),
    "truncated in a word": (INSTANCE[:30], "missing-brace"),
    "binary": (bytes(range(256)) * 40, "control-bytes"),
    "an executable": (b"\x7fELF\x02\x01\x01" + b"\0" * 500, "control-bytes"),
    "nul": (INSTANCE.replace(b"eth0", b"et\0h0"), "control-bytes"),
    "extra brace": (INSTANCE + b"}\n", "extra-brace"),
    "brace alone": (b"{\n}\n" + INSTANCE, "brace-without-keyword"),
    "quote": (b'global_defs {\n  router_id "lb1\n}\n', "unterminated-quote"),
    "self-reference": (b"$IF=${IF}\n" + INSTANCE.replace(b"eth0", b"$IF"), "self-reference"),
    "deep": (b"a {\n" * 100 + b"}\n" * 100, "nesting"),
    "very deep": (b"{\n" * 200_000, "nesting"),
    "missing value": (INSTANCE.replace(b" eth0", b""), "missing-value"),
    "no keyword": (b"server {\n  listen 80;\n}\n", "no-known-keyword"),
}


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD.keys())
def test_bad_input(tmp_path: Path, data: bytes, code: str):
    source, target = tmp_path / "keepalived.conf", tmp_path / "agent.yaml"
    source.write_bytes(data)
    target.write_text("old")
    result = kactl("convert", source, "-o", target, "--to", "yaml")
    assert result.code == ExitCode.INVALID
    assert f"error[{code}]: " in result.talk
    assert target.read_text() == "old"
    assert len(result.talk.splitlines()) < 2000


def test_ten_megabytes(tmp_path: Path):
    source = tmp_path / "keepalived.conf"
    source.write_bytes(b"x" * 10_000_000)
    assert kactl("convert", source, "--to", "yaml").code == ExitCode.INVALID
    source.write_bytes(b"bogus keyword here\n" * 500_000)
    result = kactl("convert", source, "--to", "yaml")
    assert result.code == ExitCode.INVALID
    assert "no-known-keyword" in result.talk


def test_line_ends_byte_order_mark_and_latin_1(tmp_path: Path):
    source = tmp_path / "keepalived.conf"
    expected = kactl("convert", "-", stdin=INSTANCE).out
    source.write_bytes(INSTANCE.replace(b"\n", b"\r\n"))
    assert (kactl("convert", source).code, kactl("convert", source).out) == (ExitCode.FINE, expected)
    source.write_bytes(b"\xef\xbb\xbf" + INSTANCE)
    result = kactl("convert", source)
    assert (result.code, result.out) == (ExitCode.FINE, expected)
    assert "byte-order-mark" in result.talk
    source.write_bytes("# größe\n".encode("latin-1") + INSTANCE)
    result = kactl("convert", source)
    assert result.code == ExitCode.FINE
    assert "# größe" in result.out
    assert "warning[encoding]" in result.talk


def test_sources_that_cannot_be_read(tmp_path: Path):
    target = tmp_path / "agent.yaml"
    for source in (tmp_path / "missing", tmp_path, "\0"):
        result = kactl("convert", source, "-o", target)
        assert result.code == ExitCode.INVALID
        assert "error[unreadable]: cannot be read: " in result.talk
    assert not target.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_source_without_permission(conf: Path):
    conf.chmod(0)
    assert kactl("convert", conf).code == ExitCode.INVALID


def test_destinations_that_cannot_be_written(conf: Path, tmp_path: Path):
    for target in (tmp_path / "no" / "such" / "folder", tmp_path, Path("/proc/nothing")):
        result = kactl("convert", conf, "-o", target)
        assert result.code == ExitCode.FAILED
        assert f"{target}: error[unwritable]: cannot be written: " in result.talk
    assert [p.name for p in tmp_path.iterdir()] == ["keepalived.conf"]


def test_a_full_disk_leaves_the_old_file(conf: Path):
    result = kactl("convert", conf, "-o", "/dev/full")
    assert result.code == ExitCode.FAILED
    assert "No space left on device" in result.talk


def test_invalid_yaml(tmp_path: Path):
    source, target = tmp_path / "agent.yaml", tmp_path / "keepalived.conf"
    source.write_text("vrrp_script:\n  s: {scirpt: x}\n")
    result = kactl("convert", source, "-o", target)
    assert result.code == ExitCode.INVALID
    assert "agent.yaml:2:" in result.talk
    assert not target.exists()
