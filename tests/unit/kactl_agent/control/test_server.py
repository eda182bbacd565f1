"""The control server over a real socket, with clients that behave and clients that do not."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kactl_agent.control import protocol
from kactl_agent.control.client import AgentNotReachable, ControlClient
from kactl_agent.control.protocol import ControlError, Parameters
from kactl_agent.control.server import Answer, ControlServer, Method
from kactl_agent.observe.journal import Journal
from support.netns import wait_for


class Service:
    def __init__(self) -> None:
        self.journal = Journal(identity="j")
        self.outcome: dict[str, Any] | ControlError = {"revision": "r2"}
        self.padding = ""
        self.reloads = 0

    @property
    def methods(self) -> dict[str, Method]:
        return {
            "status": lambda _parameters, answer: answer({"schema_version": 1, "padding": self.padding}),
            "reload": lambda _parameters, answer: self.reload(answer),
            "picky": self.picky,
        }

    def picky(self, parameters: Parameters, answer: Answer) -> None:
        """Answers twice, which counts once."""
        for _ in range(2):
            answer([parameters.text("name"), parameters.number("count", 0, 1, 9), parameters.flag("all")])

    def events_since(self, cursor: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        return self.journal.since(cursor, limit)

    def end_of_events(self) -> str:
        return self.journal.cursor

    def follow(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        return self.journal.follow(listener)

    def reload(self, answer: Answer) -> None:
        self.reloads += 1
        asyncio.get_running_loop().call_later(0.05, answer, self.outcome)


class Running:
    """The server in a thread, as the observer's process has it."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.service = Service()
        self.loop = asyncio.new_event_loop()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(run_dir / protocol.SOCKET_NAME))
        listener.listen(128)
        listener.setblocking(False)
        self.server = ControlServer(self.loop, listener, self.service)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.loop.run_until_complete(self.server.start())
        self.loop.run_forever()
        self.server.close()
        self.loop.run_until_complete(asyncio.sleep(0.05))
        self.loop.close()

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Run in the loop's thread and wait."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(*arguments, **named), done.set()))
        assert done.wait(5)

    def raw(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.run_dir / protocol.SOCKET_NAME))
        sock.settimeout(5)
        return sock

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.close()


def lines(sock: socket.socket, count: int) -> list[Any]:
    data = b""
    while data.count(b"\n") < count:
        part = sock.recv(65536)
        if not part:
            break
        data += part
    return [json.loads(line) for line in data.splitlines()]


def test_methods(running: Running) -> None:
    with ControlClient(running.run_dir) as client:
        assert client.call("status")["schema_version"] == 1
        assert client.call("ping") == "pong"
        assert client.call("version")["protocol"] == protocol.PROTOCOL_VERSION
        assert client.call("reload") == {"revision": "r2"}
        with pytest.raises(ControlError) as caught:
            client.call("frobnicate")
        assert caught.value.code == protocol.UNKNOWN_METHOD
        running.service.outcome = ControlError(protocol.RELOAD_FAILED, "no", {"revision": "r1"})
        with pytest.raises(ControlError) as caught:
            client.call("reload")
        assert (caught.value.code, caught.value.data) == (protocol.RELOAD_FAILED, {"revision": "r1"})


def test_requests_in_pieces_and_in_bunches(running: Running) -> None:
    sock = running.raw()
    request = b'{"id": %d, "method": "ping"}\n'
    for byte in request % 1:
        sock.send(bytes((byte,)))
    sock.sendall(b"\n" + request % 2 + request % 3)
    assert [answer["id"] for answer in lines(sock, 3)] == [1, 2, 3]
    sock.close()


def test_an_error_names_the_request(running: Running) -> None:
    sock = running.raw()
    sock.sendall(b'{"id": 5}\nnonsense\n{"id": 6, "method": "events", "params": {"limit": 0}}\n')
    answers = lines(sock, 3)
    assert [(answer["id"], answer["error"]["code"]) for answer in answers] == [
        (5, protocol.BAD_REQUEST), (None, protocol.BAD_REQUEST), (6, protocol.BAD_PARAMS),
    ]  # fmt: skip
    sock.close()


@pytest.mark.parametrize("ended", [b"", b"\n"])
def test_a_request_without_end_is_refused(running: Running, ended: bytes) -> None:
    sock = running.raw()
    sock.sendall(b"x" * protocol.LARGEST_REQUEST + ended)
    (answer,) = lines(sock, 1)
    assert answer["error"]["code"] == protocol.TOO_LARGE
    assert sock.recv(1) == b""
    sock.close()


def test_events_page_by_cursor(running: Running) -> None:
    for number in range(5):
        running.call(running.service.journal.append, "x", 0, number=number)
    with ControlClient(running.run_dir) as client:
        first = client.call("events", {"limit": 3})
        assert [event["number"] for event in first["events"]] == [0, 1, 2]
        rest = client.call("events", {"cursor": first["cursor"]})
        assert [event["number"] for event in rest["events"]] == [3, 4]
        assert client.call("events", {"cursor": rest["cursor"]}) == {
            "events": [],
            "cursor": rest["cursor"],
            "gap": False,
        }
        with pytest.raises(ControlError) as caught:
            client.call("events", {"cursor": "nonsense"})
        assert caught.value.code == protocol.BAD_PARAMS


def test_subscribers_hear_what_happens_and_can_resume(running: Running) -> None:
    append = running.service.journal.append
    running.call(append, "x", 0, number=0)
    with ControlClient(running.run_dir) as client:
        events = client.events(timeout=20)

        def happen() -> None:
            wait_for(lambda: running.service.journal._listeners, 20, "somebody listens")
            running.call(append, "x", 0, number=1)

        started = threading.Thread(target=happen)
        started.start()
        event = next(events)
        assert event["number"] == 1
        started.join()
    running.call(append, "x", 0, number=2)
    with ControlClient(running.run_dir) as client:
        assert next(client.events(cursor=event["cursor"], timeout=5))["number"] == 2
        with pytest.raises(ControlError):
            client.call("subscribe")
    wait_for(lambda: not running.service.journal._listeners, 5, "subscriptions end with their clients")


def test_a_subscriber_that_does_not_read_is_let_go_and_disturbs_nobody(running: Running) -> None:
    sock = running.raw()
    sock.sendall(b'{"id": 1, "method": "subscribe"}\n')
    lines(sock, 1)
    for _ in range(12):
        running.call(running.service.journal.append, "x", 0, text="y" * 500_000)
    wait_for(lambda: not running.server.clients, 5, "the slow client is gone")
    with ControlClient(running.run_dir) as client:
        assert client.call("ping") == "pong"
    sock.close()


def test_a_client_that_asks_without_reading_is_let_go(running: Running) -> None:
    running.service.padding = "x" * 100_000
    sock = running.raw()
    many = b'{"id": 1, "method": "status"}\n' * 100_000  # answers of 10 GB
    sock.settimeout(30)
    with sock, pytest.raises((BrokenPipeError, ConnectionResetError)):
        sock.sendall(many)


def test_an_answer_larger_than_what_may_be_unread_arrives(running: Running) -> None:
    running.service.padding = "x" * (3 * protocol.LARGEST_BACKLOG)
    with ControlClient(running.run_dir) as client:
        for _ in range(2):
            assert len(client.call("status")["padding"]) == 3 * protocol.LARGEST_BACKLOG
    sock = running.raw()
    sock.sendall(b'{"id": 1, "method": "subscribe"}\n')
    lines(sock, 1)
    sock.sendall(b'{"id": 2, "method": "status"}\n')
    sock.recv(1, socket.MSG_PEEK)
    for _ in range(5):  # while most of the answer is unread
        running.call(running.service.journal.append, "x", 0, text="y" * 500_000)
    answers = lines(sock, 6)
    assert [len(answer["event"]["text"]) for answer in answers[1:]] == [500_000] * 5
    sock.close()


def test_one_that_asks_for_large_answers_and_reads_none_is_let_go(running: Running) -> None:
    running.service.padding = "x" * (3 * protocol.LARGEST_BACKLOG)
    sock = running.raw()
    sock.sendall(b'{"id": 1, "method": "ping"}\n')
    lines(sock, 1)
    sock.sendall(b'{"id": 1, "method": "status"}\n' * 3)
    wait_for(lambda: not running.server.clients, 5, "it is gone")
    sock.close()


def test_an_answer_that_no_client_takes_is_an_error(running: Running) -> None:
    running.service.padding = "x" * protocol.LARGEST_ANSWER
    with ControlClient(running.run_dir) as client:
        with pytest.raises(ControlError, match=r"the answer has 671\d{5} bytes") as refused:
            client.call("status")
        assert refused.value.code == protocol.ANSWER_TOO_LARGE
        running.service.padding = running.service.padding[:-100]
        assert len(client.call("status")["padding"]) == protocol.LARGEST_ANSWER - 100
        assert client.call("ping") == "pong"


def test_a_long_backlog_of_events_is_streamed_as_it_is_read(running: Running) -> None:
    def fill() -> None:
        for number in range(100):
            running.service.journal.append("x", 0, number=number, text="y" * 200_000)

    running.call(fill)
    with ControlClient(running.run_dir) as client:
        events = client.events(cursor="j-0", timeout=5)
        assert [next(events)["number"] for _ in range(50)] == list(range(50))
        running.call(running.service.journal.append, "x", 0, number=100)
        assert [next(events)["number"] for _ in range(51)] == list(range(50, 101))
        running.call(running.service.journal.append, "x", 0, number=101)
        assert next(events)["number"] == 101, "and what happens from then on"


def test_one_that_reads_a_backlog_too_slowly_is_told_of_the_gap_when_it_comes_again(running: Running) -> None:
    running.service.journal = Journal(identity="j", limit=20)

    def fill(first: int, last: int) -> None:
        for number in range(first, last):
            running.service.journal.append("x", 0, number=number, text="y" * 200_000)

    running.call(fill, 0, 20)
    sock = running.raw()
    sock.sendall(b'{"id": 1, "method": "subscribe", "params": {"cursor": "j-0"}}\n')
    wait_for(lambda: any(client._reads_slowly for client in tuple(running.server.clients)), 5, "it does not read")
    running.call(fill, 20, 60)
    data = b""
    while part := sock.recv(1 << 20):
        data += part
    events = [json.loads(line)["event"] for line in data.splitlines()[1:] if line.endswith(b"}}")]
    sock.close()
    assert [event["number"] for event in events] == list(range(len(events)))
    with ControlClient(running.run_dir) as client:
        assert client.call("events", {"cursor": events[-1]["cursor"]})["gap"]


def test_a_subscription_from_before_what_is_kept_begins_with_the_oldest(running: Running) -> None:
    running.service.journal = Journal(identity="j", limit=3)
    for number in range(10):
        running.call(running.service.journal.append, "x", 0, number=number)
    sock = running.raw()
    sock.sendall(b'{"id": 1, "method": "subscribe", "params": {"cursor": "j-2"}}\n')
    answer, *events = lines(sock, 4)
    assert answer["result"]["gap"]
    assert [event["event"]["number"] for event in events] == [7, 8, 9]
    sock.close()


def test_the_number_of_clients_is_limited(running: Running) -> None:
    socks = [running.raw() for _ in range(protocol.MOST_CLIENTS)]
    wait_for(lambda: len(running.server.clients) == protocol.MOST_CLIENTS, 5, "all are connected")
    with ControlClient(running.run_dir) as client, pytest.raises((ControlError, AgentNotReachable)):
        client.call("ping")
    socks.pop().close()
    wait_for(lambda: len(running.server.clients) < protocol.MOST_CLIENTS, 5, "a place is free")
    with ControlClient(running.run_dir) as client:
        assert client.call("ping") == "pong"
    for sock in socks:
        sock.close()


def test_those_who_came_and_went_while_the_loop_was_busy_hold_no_place(running: Running) -> None:
    """They are all connected before the first of them is seen to have hung up."""
    busy, free = threading.Event(), threading.Event()
    running.loop.call_soon_threadsafe(lambda: (busy.set(), free.wait(10)))
    assert busy.wait(5)
    for _ in range(protocol.MOST_CLIENTS):
        running.raw().close()
    with running.raw() as sock:
        sock.sendall(b'{"id": 1, "method": "ping"}\n')
        free.set()
        [answer] = lines(sock, 1)
        assert answer["result"] == "pong"
        wait_for(lambda: len(running.server.clients) == 1, 5, "it alone is left")


def test_what_one_who_went_had_asked_for_is_done(running: Running) -> None:
    """Its place is not given away before that."""
    busy, free = threading.Event(), threading.Event()
    running.loop.call_soon_threadsafe(lambda: (busy.set(), free.wait(10)))
    assert busy.wait(5)
    for number in range(protocol.MOST_CLIENTS):
        with running.raw() as sock:
            sock.sendall(b'{"id": %d, "method": "reload"}\n' % number)
    with running.raw() as sock:
        free.set()
        [refusal] = lines(sock, 1)
        assert refusal["error"]["code"] == protocol.TOO_MANY_CLIENTS
    wait_for(lambda: running.service.reloads == protocol.MOST_CLIENTS, 5, "all have been")


def test_no_agent(tmp_path: Path) -> None:
    with pytest.raises(AgentNotReachable, match=r"agent\.sock"):
        ControlClient(tmp_path)


def test_something_else_answers(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / protocol.SOCKET_NAME))
    listener.listen()

    def answer(data: bytes) -> None:
        sock, _address = listener.accept()
        sock.recv(1000)
        sock.sendall(data)
        sock.close()

    for data in (b"HTTP/1.1 400 Bad Request\r\n", b"[]\n", b""):
        thread = threading.Thread(target=answer, args=(data,))
        thread.start()
        with ControlClient(tmp_path) as client, pytest.raises(AgentNotReachable):
            client.call("ping")
        thread.join()
    listener.close()


def test_parameters_are_read_and_refused_with_their_name(running: Running) -> None:
    with ControlClient(running.run_dir) as client:
        assert client.call("picky", {"name": "x", "count": 9, "all": True}) == ["x", 9, True]
        assert client.call("picky") == ["", 0, False]
        for wrong, text in (
            ({"name": 1}, "name is a string"),
            ({"count": "1"}, "count is a number from 1 to 9"),
            ({"count": True}, "count is a number from 1 to 9"),
            ({"count": 10}, "count is a number from 1 to 9"),
            ({"all": 1}, "all is true or false"),
        ):
            with pytest.raises(ControlError, match=text) as refused:
                client.call("picky", wrong)
            assert refused.value.code == "bad-params"
        assert client.call("ping") == "pong"


def test_a_name_that_cannot_be_said_is_refused_on_both_sides(running: Running) -> None:
    with ControlClient(running.run_dir) as client:
        with pytest.raises(ControlError, match="holds bytes that are no UTF-8") as refused:
            client.call("picky", {"name": "/caf\udce9"})
        assert refused.value.code == protocol.BAD_PARAMS
        assert client.call("picky", {"name": "/café"})[0] == "/café"
    sock = running.raw()
    sock.sendall(b'{"id": 5, "method": "picky", "params": {"name": "/caf\\udce9"}}\n{"id": 6, "method": "ping"}\n')
    refusal, pong = lines(sock, 2)
    assert (refusal["id"], refusal["error"]["code"], pong["result"]) == (5, protocol.BAD_PARAMS, "pong")
    sock.close()


def test_a_parameter_that_is_not_known_is_refused(running: Running) -> None:
    """A misspelled wish must not be taken for no wish."""
    with ControlClient(running.run_dir) as client:
        with pytest.raises(ControlError, match="events has no parameter 'curser'; it has cursor, limit") as refused:
            client.call("events", {"curser": "a-1"})
        assert refused.value.code == protocol.BAD_PARAMS
        with pytest.raises(ControlError, match="status has no parameter 'x'; it has none"):
            client.call("status", {"x": 1})
