"""Mails over real connections, to a relay that is a thread of this process."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kactl_agent.notify.events import Mail
from kactl_agent.notify.settings import MailSettings, Recipient, Security
from kactl_agent.notify.smtp import Finished
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.mailer import AT_ONCE, MOST_WAITING, Mailer, date_text, deliver
from kactl_agent.runtime.frames import Frame, LogRecord
from kactl_agent.runtime.notify_frames import MailDone, MailOrder
from kactl_agent.vrrp.settings import SECOND
from support.check_servers import certificate, server_context
from support.mail_sink import Behaviour, MailSink, mail_sink

MAIL = Mail("VRRP Instance V1 - Entering MASTER state", "=> VRRP Instance is now owning VRRP VIPs <=")
AT = 1_795_428_393_000_000_000
DELIVERED = Finished("", "")
SECRET = base64.b64encode(b"\0me\0secret").decode()


def settings(sink: MailSink, **changes: Any) -> MailSettings:
    made = MailSettings(
        host="127.0.0.1",
        port=sink.port,
        helo_name="node.example.org",
        sender=Recipient("root@example.org", "root@example.org"),
        recipients=(Recipient("a@example.org", "a@example.org"), Recipient("b@example.org", "b@example.org")),
        subject_prefix="lb1",
        timeout=10 * SECOND,
    )
    return msgspec.structs.replace(made, **changes)


def run(work: Coroutine[Any, Any, Finished]) -> Finished:
    loop = asyncio.SelectorEventLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def test_a_mail_is_taken() -> None:
    with mail_sink() as sink:
        assert run(deliver(settings(sink), MAIL, AT)) == DELIVERED
        [mail] = sink.wait(1)
    assert mail.commands == [
        "HELO node.example.org",
        "MAIL FROM:<root@example.org>",
        "RCPT TO:<a@example.org>",
        "RCPT TO:<b@example.org>",
        "DATA",
    ]
    assert mail.header("Subject") == f"[lb1] {MAIL.subject}"
    assert mail.message.endswith(b"\r\n\r\n=> VRRP Instance is now owning VRRP VIPs <=\r\n\r\n")


@pytest.mark.parametrize("piece", [1, 7])
def test_answers_in_pieces_and_of_many_lines(piece: int) -> None:
    """S26"""
    long = b"".join(b"250-line %d of many\r\n" % number for number in range(30)) + b"250 ok\r\n"
    with mail_sink(Behaviour(answers={"HELO": long, "MAIL": long}, piece=piece)) as sink:
        assert run(deliver(settings(sink), MAIL, AT)) == DELIVERED


def test_an_endless_answer_ends_the_connection() -> None:
    """S26"""

    def babble(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"250-and so on\r\n" * 100)

    with mail_sink(Behaviour(answers={"HELO": babble})) as sink:
        outcome = run(deliver(settings(sink), MAIL, AT))
    assert outcome.reason == "smtp_answer_too_long"


def test_a_relay_that_says_nothing_has_its_time() -> None:
    with mail_sink(Behaviour(greeting=b"", answers={})) as sink:
        begun = time.monotonic()
        outcome = run(deliver(settings(sink, timeout=SECOND // 2), MAIL, AT))
        assert outcome == Finished("greeting: no answer within 0.5 s", "smtp_timeout")
        assert 0.4 < time.monotonic() - begun < 5


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with mail_sink() as sink:
        outcome = run(deliver(settings(sink, port=port), MAIL, AT))
    assert outcome.reason == "mail_no_connection"
    assert "refused" in outcome.error


def test_a_refusal_says_what_the_relay_said() -> None:
    with mail_sink(Behaviour(answers={"MAIL": b"550 5.7.1 not you\r\n"})) as sink:
        assert run(deliver(settings(sink), MAIL, AT)) == Finished("MAIL FROM: 550 5.7.1 not you", "smtp_refused")
        assert sink.mails == []


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Asia/Kathmandu"])
def test_the_date_is_that_of_the_library(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for at in (AT, AT + 180 * 86_400 * 10**9, 0):
            assert date_text(at) == formatdate(at / 1e9, localtime=True)
    finally:
        monkeypatch.undo()
        time.tzset()


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"), "relay.example.org")


def protected(sink: MailSink, papers: tuple[Path, Path], **changes: Any) -> MailSettings:
    said = {"security": Security.STARTTLS, "server_name": "relay.example.org", "ca_file": str(papers[0])}
    return settings(sink, **said | changes)


def test_starttls_and_authentication(papers: tuple[Path, Path]) -> None:
    with mail_sink(Behaviour(user=SECRET), server_context(*papers)) as sink:
        assert run(deliver(protected(sink, papers, user="me", password="secret"), MAIL, AT)) == DELIVERED
        [mail] = sink.wait(1)
    assert mail.protected
    assert mail.commands[:4] == ["EHLO node.example.org", "STARTTLS", "EHLO node.example.org", f"AUTH PLAIN {SECRET}"]


def test_a_wrong_password_is_in_no_message(papers: tuple[Path, Path]) -> None:
    with mail_sink(Behaviour(user="other"), server_context(*papers)) as sink:
        outcome = run(deliver(protected(sink, papers, user="me", password="secret"), MAIL, AT))
    assert outcome == Finished("AUTH: 535 who are you", "smtp_refused")


def test_a_relay_without_starttls_gets_no_mail(papers: tuple[Path, Path]) -> None:
    with mail_sink() as sink:
        outcome = run(deliver(protected(sink, papers), MAIL, AT))
        assert sink.mails == []
    assert outcome.reason == "smtp_no_starttls"


@pytest.mark.parametrize("changes", [{"server_name": "other.example.org"}, {"ca_file": ""}])
def test_a_relay_that_cannot_prove_who_it_is_gets_no_mail(papers: tuple[Path, Path], changes: dict[str, str]) -> None:
    with mail_sink(context=server_context(*papers)) as sink:
        outcome = run(deliver(protected(sink, papers, **changes), MAIL, AT))
        assert sink.mails == []
    assert outcome.reason == "smtp_tls"
    assert "certificate is not valid" in outcome.error


def test_authorities_that_are_renewed_count_from_the_next_mail_on(papers: tuple[Path, Path], tmp_path: Path) -> None:
    known = tmp_path / "authorities.pem"
    other, _key = certificate(tmp_path, "relay.example.org")
    with mail_sink(context=server_context(*papers)) as sink:
        for file, arrives in ((papers[0], True), (other, False), (papers[0], True)):
            known.write_bytes(file.read_bytes())
            outcome = run(deliver(protected(sink, papers, ca_file=str(known)), MAIL, AT))
            assert (outcome == DELIVERED) is arrives, outcome


def test_a_file_of_authorities_that_is_not_there(papers: tuple[Path, Path]) -> None:
    with mail_sink(context=server_context(*papers)) as sink:
        outcome = run(deliver(protected(sink, papers, ca_file="/nonexistent"), MAIL, AT))
    assert outcome.reason == "mail_no_connection"


def test_tls_from_the_start(papers: tuple[Path, Path]) -> None:
    context = server_context(*papers)

    class Implicit(MailSink):
        def _client(self, sock: socket.socket) -> None:
            super()._client(context.wrap_socket(sock, server_side=True))

    sink = Implicit()
    try:
        assert run(deliver(protected(sink, papers, security=Security.IMPLICIT), MAIL, AT)) == DELIVERED
    finally:
        sink.close()


# -- orders ------------------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.settings: MailSettings | None = None
        self.answers: list[tuple[str, Frame]] = []
        self.log: list[LogRecord] = []
        self.mailer = Mailer(
            self.loop,
            lambda: self.settings,
            lambda worker, frame: self.answers.append((worker, frame)),
            self.log.append,
        )
        self.handlers = Handlers()
        self.mailer.offer(self.handlers)

    def order(self, number: int) -> MailOrder:
        order = MailOrder("vrrp", number, AT, f"mail {number}", "body")
        self.handlers.handle(order)
        return order

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        async def poll() -> None:
            deadline = time.monotonic() + seconds
            while not condition():
                assert time.monotonic() < deadline, self.log
                await asyncio.sleep(0.005)

        self.loop.run_until_complete(poll())

    def until_done(self, *numbers: int) -> None:
        self.until(lambda: sorted(f.number for _, f in self.answers if isinstance(f, MailDone)) == sorted(numbers))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loop.run_until_complete(asyncio.sleep(0.01))
    made.loop.close()


def test_every_order_is_carried_out_and_answered_a_few_at_once(bench: Bench) -> None:
    go_on = threading.Event()

    def wait(sock: socket.socket) -> None:
        go_on.wait(20)
        sock.sendall(b"250 ok\r\n")

    with mail_sink(Behaviour(answers={"HELO": wait})) as sink:
        bench.settings = settings(sink, timeout=30 * SECOND)
        numbers = range(1, 3 * AT_ONCE)
        for number in numbers:
            bench.order(number)
        bench.until(lambda: sink.connections == AT_ONCE)
        bench.loop.run_until_complete(asyncio.sleep(0.1))
        assert sink.connections == AT_ONCE
        go_on.set()
        bench.until_done(*numbers)
        assert sorted(sink.subjects) == sorted(f"[lb1] mail {number}" for number in numbers)
        assert {record.level for record in bench.log} == {"info"}


def test_the_newest_mails_wait_for_a_relay_that_is_away(bench: Bench) -> None:
    go_on = threading.Event()

    def wait(sock: socket.socket) -> None:
        go_on.wait(20)
        sock.close()

    with mail_sink(Behaviour(answers={"HELO": wait})) as sink:
        bench.settings = settings(sink, timeout=30 * SECOND)
        for number in range(1, AT_ONCE + 1):
            bench.order(number)
        bench.until(lambda: sink.connections == AT_ONCE)
        for number in range(AT_ONCE + 1, AT_ONCE + MOST_WAITING + 3):
            bench.order(number)
        assert [frame for _, frame in bench.answers] == [MailDone(AT_ONCE + 1), MailDone(AT_ONCE + 2)]
        assert [record.fields["code"] for record in bench.log] == ["mail_dropped"] * 2
        bench.settings = None
        go_on.set()
        bench.until_done(*range(1, AT_ONCE + MOST_WAITING + 3))


def test_an_order_that_comes_again_is_carried_out_once(bench: Bench) -> None:
    with mail_sink(Behaviour(delay=0.05)) as sink:
        bench.settings = settings(sink)
        order = bench.order(1)
        bench.until(lambda: sink.connections)
        bench.handlers.handle(order)
        bench.until_done(1)
        assert len(sink.mails) == 1


def test_a_mail_in_flight_at_a_reload_is_delivered_once_as_it_began(bench: Bench) -> None:
    """S27: neither leaked nor lost."""
    with mail_sink(Behaviour(delay=0.1)) as old, mail_sink() as new:
        bench.settings = settings(old)
        bench.order(1)
        bench.until(lambda: old.connections)
        bench.settings = settings(new)
        bench.order(2)
        bench.until_done(1, 2)
        assert (old.subjects, new.subjects) == (["[lb1] mail 1"], ["[lb1] mail 2"])
        bench.until(lambda: (old.open, new.open) == (0, 0))
        assert (old.connections, new.connections) == (1, 1)


def test_without_a_relay_an_order_is_answered_all_the_same(bench: Bench) -> None:
    bench.order(1)
    bench.until_done(1)
    assert "no mail relay any more" in bench.log[0].message


def test_a_failure_is_said_with_its_reason_and_not_tried_again(bench: Bench) -> None:
    with mail_sink(Behaviour(answers={"DATA": b"451 later\r\n"})) as sink:
        bench.settings = settings(sink)
        bench.order(1)
        bench.until_done(1)
        assert sink.connections == 1
    [record] = bench.log
    assert (record.level, record.fields["code"]) == ("error", "smtp_refused")
    assert "DATA: 451 later" in record.message


def test_the_end_waits_for_what_is_to_be_sent(bench: Bench) -> None:
    rested: list[int] = []
    with mail_sink(Behaviour(delay=0.05)) as sink:
        bench.settings = settings(sink)
        bench.order(1)
        bench.order(2)
        bench.mailer.when_at_rest(lambda: rested.append(len(sink.mails)))
        bench.until(lambda: rested)
    assert rested == [2]
    bench.mailer.when_at_rest(lambda: rested.append(0))
    assert rested == [2, 0]
