"""Mails as they go over the wire."""

from __future__ import annotations

import email
import email.policy

import msgspec

from kactl_agent.notify.events import Mail
from kactl_agent.notify.message import render_message
from kactl_agent.notify.settings import MailSettings, Recipient

DATE = "Mon, 23 Nov 2026 10:06:33 +0000"
SETTINGS = MailSettings(
    host="127.0.0.1",
    port=25,
    helo_name="helo.example.org",
    sender=Recipient("from@example.org", "from@example.org"),
    recipients=(Recipient("a@example.org", "a@example.org"), Recipient("b@example.org", "b@example.org")),
    subject_prefix="RID",
)
MAIL = Mail("VRRP Instance V1 - Entering BACKUP state", "=> VRRP Instance is no longer owning VRRP VIPs <=")


def test_a_mail_is_byte_for_byte_that_of_keepalived() -> None:
    """As keepalived 2.2.7 sent it."""
    assert render_message(SETTINGS, MAIL, DATE) == (
        b"Date: Mon, 23 Nov 2026 10:06:33 +0000\r\nFrom: from@example.org\r\n"
        b"Subject: [RID] VRRP Instance V1 - Entering BACKUP state\r\nX-Mailer: Keepalived\r\n"
        b"To: a@example.org, b@example.org\r\n\r\n=> VRRP Instance is no longer owning VRRP VIPs <=\r\n\r\n"
    )


def test_many_recipients_stand_on_lines_of_their_own() -> None:
    many = tuple(Recipient(f"someone{n}@example.org", f'"Some One {n}" <someone{n}@example.org>') for n in range(9))
    data = render_message(msgspec.structs.replace(SETTINGS, recipients=many), MAIL, DATE)
    assert max(map(len, data.split(b"\r\n"))) <= 78
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    assert [each.addr_spec for each in parsed["To"].addresses] == [each.address for each in many]
    assert next(each.display_name for each in parsed["To"].addresses) == "Some One 0"


def test_names_that_are_no_ascii() -> None:
    settings = msgspec.structs.replace(
        SETTINGS, subject_prefix="nœud", recipients=(Recipient("j@example.org", '"Jürgen" <j@example.org>'),)
    )
    data = render_message(settings, Mail("VRRP Instance Ä - Stopping", "=> é <="), DATE)
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    assert parsed["Subject"] == "[nœud] VRRP Instance Ä - Stopping"
    assert parsed["To"].addresses[0].display_name == "Jürgen"
    assert parsed.get_content().strip() == "=> é <="
    assert data.split(b"\r\n\r\n")[0].isascii()


def test_a_long_name_that_is_no_ascii_is_more_words() -> None:
    name = "größenwahnsinnige-überlänge-" * 6
    data = render_message(SETTINGS, Mail(f"VRRP Instance {name} - Stopping", ""), DATE)
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    assert parsed["Subject"] == f"[RID] VRRP Instance {name} - Stopping"
    assert max(map(len, data.split(b"\r\n"))) <= 90


def test_nothing_in_a_name_is_a_header_or_the_end_of_the_mail() -> None:
    settings = msgspec.structs.replace(SETTINGS, subject_prefix="a\r\nBcc: x@example.org")
    data = render_message(settings, Mail("b\nX: y", ".\r\n.more"), DATE)
    headers, body = data.split(b"\r\n\r\n", 1)
    assert b"\r\nBcc" not in headers
    assert b"\r\nX: y" not in headers
    assert body == b"..\r\n..more\r\n\r\n"
