"""When a certificate ends: the one thing of it (X.509, RFC 5280 section 4.1) that a check looks at itself."""

from __future__ import annotations

from datetime import UTC, datetime

_SEQUENCE, _CONTEXT_0 = 0x30, 0xA0
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


class CertificateFault(Exception):
    """What the server showed is no certificate that can be read."""


def not_after(der: bytes) -> datetime:
    """The end of a certificate's validity (notAfter, RFC 5280 4.1.2.5). Raises CertificateFault."""
    tag, certificate, _ = _read(der)
    tag_inner, fields, _ = _read(certificate)
    if (tag, tag_inner) != (_SEQUENCE, _SEQUENCE):
        raise CertificateFault("no sequence")
    tag, _value, rest = _read(fields)
    if tag == _CONTEXT_0:  # the version is optional
        _tag, _value, rest = _read(rest)  # serialNumber
    for _ in ("signature", "issuer"):
        _tag, _value, rest = _read(rest)
    tag, validity, _ = _read(rest)
    _tag, _begin, rest = _read(validity)
    kind, end, _ = _read(rest)
    if tag != _SEQUENCE:
        raise CertificateFault("no validity")
    return _time(kind, end)


def _read(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what stands behind it, of one DER element (X.690 8.1)."""
    if len(data) < 2:
        raise CertificateFault("it ends early")
    length, start = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        start += size
        if not 1 <= size <= 4 or len(data) < start:
            raise CertificateFault("a length that cannot be")
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise CertificateFault("it ends early")
    return data[0], data[start : start + length], data[start + length :]


def _time(kind: int, text: bytes) -> datetime:
    """UTCTime stands for 1950 to 2049 (RFC 5280 4.1.2.5.1)."""
    try:
        digits = text.decode("ascii")
        if kind == _UTC_TIME:
            digits = ("19" if int(digits[:2]) >= 50 else "20") + digits
        elif kind != _GENERALIZED_TIME:
            raise CertificateFault("no time")
        return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise CertificateFault("no time") from None
