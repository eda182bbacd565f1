"""A mail as it goes over the wire (RFC 5321, RFC 5322), laid out as keepalived lays it out."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from kactl_agent.notify.events import Mail
from kactl_agent.notify.settings import MailSettings, Recipient

MAILER = "Keepalived"
"""What X-Mailer says: filters of those who come from keepalived go on working."""
_LINE = 78  # characters, RFC 5322 2.1.1
_ENCODED = 45  # bytes of text in an encoded word, which may have 75 characters (RFC 2047 2)


def render_message(settings: MailSettings, mail: Mail, date: str) -> bytes:
    """Headers and body, with dots doubled where RFC 5321 4.5.2 wants that, and without the final dot. `date` is as RFC
    5322 3.3 wants it, in local time."""
    headers = (
        ("Date", date),
        ("From", _address(settings.sender)),
        ("Subject", _text(f"[{settings.subject_prefix}] {mail.subject}")),
        ("X-Mailer", MAILER),
        ("To", _recipients("To", settings.recipients)),
    )
    lines = [f"{name}: {value}" for name, value in headers]
    if not mail.body.isascii():
        lines += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
    text = "\r\n".join((*lines, "", *_one_line_each(mail.body), "", ""))
    return b"".join(b"." + line if line.startswith(b".") else line for line in text.encode().splitlines(keepends=True))


def _one_line_each(text: str) -> list[str]:
    return text.splitlines() or [""]


def _text(value: str) -> str:
    """Of a header: on one line, and in ASCII alone (RFC 2047)."""
    clean = " ".join(value.split("\r")).replace("\n", " ")
    return clean if clean.isascii() else "\r\n ".join(_encoded_words(clean))


def _encoded_words(text: str) -> Iterator[str]:
    """RFC 2047 4.1: no character is divided between two of them."""
    piece = b""
    for character in text:
        more = character.encode()
        if len(piece) + len(more) > _ENCODED:
            yield f"=?utf-8?b?{base64.b64encode(piece).decode()}?="
            piece = b""
        piece += more
    yield f"=?utf-8?b?{base64.b64encode(piece).decode()}?="


def _address(recipient: Recipient) -> str:
    """A name that is no ASCII is encoded, the address never is."""
    name, separator, rest = recipient.text.rpartition("<")
    if not separator or recipient.text.isascii():
        return " ".join(recipient.text.splitlines())
    return f"{_text(name.strip().strip(chr(34)))} <{rest}"


def _recipients(header: str, recipients: tuple[Recipient, ...]) -> str:
    """On one line while they fit (keepalived puts any number there), then on more."""
    rows = [""]
    for number, recipient in enumerate(recipients):
        last = number + 1 == len(recipients)
        text = _address(recipient) + ("" if last else ",")
        room = _LINE - (len(header) + 2 if len(rows) == 1 else 1)
        if rows[-1] and len(rows[-1]) + 1 + len(text) > room:
            rows.append(text)
        else:
            rows[-1] = f"{rows[-1]} {text}".lstrip()
    return "\r\n ".join(rows)
