"""Secrets from files and variables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kactl_agent.config.bind import bind
from kactl_agent.config.document import Document
from kactl_agent.config.schema.shapes import SecretSource
from kactl_agent.config.secrets import MAX_SECRET, resolve_secrets, secret_keywords


def document(source: str, folder: Path) -> Document:
    text = f"vrrp_instance: {{A: {{virtual_router_id: 1, authentication: {{auth_type: PASS, auth_pass: {source}}}}}}}\n"
    bound = bind(text, str(folder / "agent.yaml"))
    assert not bound.diagnostics
    return bound


def secret_of(resolved: Document) -> object:
    return resolved.config.vrrp_instance["A"].authentication.auth_pass


def secret_file(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("data", "text"), [(b"s3cret", "s3cret"), (b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret")])
def test_a_file_holds_the_secret_and_perhaps_a_newline(tmp_path: Path, data: bytes, text: str) -> None:
    secret_file(tmp_path, data)
    resolved = resolve_secrets(document("{file: secret}", tmp_path), environ={})
    assert not resolved.errors
    assert secret_of(resolved) == text


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    secret_file(tmp_path, b"s3cret", mode)
    resolved = resolve_secrets(document("{file: secret}", tmp_path), environ={})
    (found,) = resolved.errors
    assert "open to every user" in found.message
    assert found.hint.startswith("chmod o= ")
    assert isinstance(secret_of(resolved), SecretSource)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "not UTF-8"),
        (b"x" * (MAX_SECRET + 1), "larger than"),
        (b"far-too-long-for-vrrp", "the text is longer than the 8 characters"),
    ],
)
def test_a_file_that_holds_no_usable_secret(tmp_path: Path, data: bytes, message: str) -> None:
    secret_file(tmp_path, data)
    (found,) = resolve_secrets(document("{file: secret}", tmp_path), environ={}).errors
    assert found.code == "secret"
    assert message in found.message
    assert "far-too-long" not in found.message


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "No such file" in resolve_secrets(document("{file: none}", tmp_path), environ={}).errors[0].message
    assert "Is a directory" in resolve_secrets(document("{file: .}", tmp_path), environ={}).errors[0].message
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert "not a regular file" in resolve_secrets(document("{file: fifo}", tmp_path), environ={}).errors[0].message


def test_variables(tmp_path: Path) -> None:
    assert secret_of(resolve_secrets(document("{env: PASS}", tmp_path), environ={"PASS": "s3cret"})) == "s3cret"
    (found,) = resolve_secrets(document("{env: PASS}", tmp_path), environ={}).errors
    assert "`PASS`" in found.message
    assert (found.place.line, found.code) == (1, "secret")


def test_nothing_changes_without_sources(tmp_path: Path) -> None:
    bound = document("s3cret", tmp_path)
    assert resolve_secrets(bound, environ={}).config is bound.config


def test_the_schema_says_what_is_secret() -> None:
    assert {"auth_pass", "password"} & secret_keywords() >= {"auth_pass"}


def hmac_document(folder: Path) -> Document:
    key = f'[{{id: 1, key: "file:{folder / "secret"}"}}]'
    text = f"vrrp_instance: {{A: {{virtual_router_id: 1, auth_hmac: {{active_key: 1, key: {key}}}}}}}\n"
    bound = bind(text, str(folder / "agent.yaml"))
    assert not bound.diagnostics
    return bound


@pytest.mark.parametrize("written", ["k" * 32, "hex:" + "0f" * 32])
def test_keepalived_s_way_to_name_the_file_of_a_key(tmp_path: Path, written: str) -> None:
    secret_file(tmp_path, written.encode() + b"\n")
    resolved = resolve_secrets(hmac_document(tmp_path), environ={})
    assert not resolved.errors
    assert resolved.config.vrrp_instance["A"].auth_hmac.key[0].key == written


@pytest.mark.parametrize(("data", "message"), [(b"short", "5 bytes"), (b"file:/etc/other", "names another file")])
def test_an_unfit_key_in_a_file_is_an_error(tmp_path: Path, data: bytes, message: str) -> None:
    secret_file(tmp_path, data)
    resolved = resolve_secrets(hmac_document(tmp_path), environ={})
    (found,) = resolved.errors
    assert message in found.message
    assert isinstance(resolved.config.vrrp_instance["A"].auth_hmac.key[0].key, SecretSource)
