"""The end of a certificate's validity, as openssl says it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.checkers.certificate import CertificateFault, not_after
from support.check_servers import certificate


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("days", [1, 400, 40_000])  # UTCTime, and GeneralizedTime from 2050
def test_the_end_of_validity(tmp_path: Path, days: int) -> None:
    file, _ = certificate(tmp_path, days=days)
    said = subprocess.run(
        ["openssl", "x509", "-in", str(file), "-noout", "-enddate", "-dateopt", "iso_8601"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expected = datetime.strptime(said.strip(), "notAfter=%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)
    der = ssl.PEM_cert_to_DER_cert(file.read_text())
    assert not_after(der) == expected
    for cut in range(0, len(der), 7):
        try:
            assert not_after(der[:cut]) == expected
        except CertificateFault:
            continue
        raise AssertionError("a part of a certificate was taken for one")


@given(st.binary(max_size=200))
def test_anything_else_is_a_fault(data: bytes) -> None:
    with pytest.raises(CertificateFault):
        not_after(data)
