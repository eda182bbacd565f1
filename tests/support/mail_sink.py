"""A mail relay for tests: takes mails over SMTP, in a thread, and behaves as badly as it is told to."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

EHLO_LINES = ("relay.example.org", "8BITMIME")


@dataclass
class TakenMail:
    """A mail that was taken: all that was said on the connection up to it, and the message."""

    commands: list[str]
    message: bytes
    protected: bool  # by TLS

    def header(self, name: str) -> str:
        for line in self.message.split(b"\r\n\r\n", 1)[0].decode().split("\r\n"):
            if line.lower().startswith(f"{name.lower()}: "):
                return line.split(": ", 1)[1]
        return ""


@dataclass
class Behaviour:
    """How the relay answers. `greeting` and the answers may be any bytes; a function gets the socket."""

    greeting: bytes = b"220 relay.example.org\r\n"
    answers: dict[str, bytes | Callable[[socket.socket], None]] = field(default_factory=dict)  # by command word
    piece: int = 0  # bytes sent at once, 0 for all
    delay: float = 0.0  # seconds before every answer
    user: str = ""  # base64 of AUTH PLAIN that is taken; empty: AUTH is not offered


class MailSink:
    """Listens on 127.0.0.1; `mails` has what was taken, in order."""

    def __init__(
        self, behaviour: Behaviour | None = None, context: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        """With a TLS context STARTTLS is offered."""
        self.behaviour = behaviour or Behaviour()
        self.context = context
        self.mails: list[TakenMail] = []
        self.connections = 0
        self.open = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def subjects(self) -> list[str]:
        return [mail.header("Subject") for mail in self.mails]

    def wait(self, count: int, seconds: float = 20.0) -> list[TakenMail]:
        deadline = time.monotonic() + seconds
        while len(self.mails) < count:
            assert time.monotonic() < deadline, f"{len(self.mails)} of {count} mails: {self.subjects}"
            time.sleep(0.01)
        return list(self.mails)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _serve(self) -> None:
        threads = []
        while True:
            try:
                sock, _address = self._listener.accept()
            except OSError:
                break
            with self._lock:
                self._sockets.add(sock)
                self.connections += 1
                self.open += 1
            threads.append(threading.Thread(target=self._client, args=(sock,), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(5)

    def _client(self, sock: socket.socket) -> None:
        session = _Session(self, sock)
        try:
            session.run()
        except (OSError, EOFError):
            pass
        finally:
            with self._lock:
                self._sockets.discard(sock)
                self.open -= 1
            session.sock.close()
            sock.close()


class _Session:
    def __init__(self, sink: MailSink, sock: socket.socket) -> None:
        self.sink = sink
        self.sock = sock
        self.protected = False
        self.buffer = b""
        self.commands: list[str] = []

    def run(self) -> None:
        self.send(self.sink.behaviour.greeting)
        while True:
            line = self.line()
            self.commands.append(line.decode())
            word = line.split(b" ")[0].split(b":")[0].decode().upper()
            answer = self.sink.behaviour.answers.get(word)
            if callable(answer):
                answer(self.sock)
                continue
            if word == "QUIT":
                self.send(answer or b"221 bye\r\n")
                return
            self.answer(word, answer)

    def answer(self, word: str, answer: bytes | None) -> None:
        if word == "EHLO":
            self.send(answer or self.capabilities())
        elif word == "STARTTLS" and self.sink.context is not None and answer is None:
            self.send(b"220 go ahead\r\n")
            self.sock = self.sink.context.wrap_socket(self.sock, server_side=True)
            self.protected = True
            self.buffer = b""
        elif word == "AUTH" and answer is None:
            known = self.commands[-1].split(" ")[-1] == self.sink.behaviour.user
            self.send(b"235 welcome\r\n" if known else b"535 who are you\r\n")
        elif word == "DATA" and answer is None:
            self.send(b"354 go ahead\r\n")
            self.take()
        else:
            self.send(answer or b"250 ok\r\n")

    def take(self) -> None:
        lines = []
        while (line := self.line()) != b".":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = b"".join(line + b"\r\n" for line in lines)
        self.sink.mails.append(TakenMail(list(self.commands), message, self.protected))
        end = self.sink.behaviour.answers.get("END")
        if callable(end):
            end(self.sock)
        else:
            self.send(end or b"250 taken\r\n")

    def capabilities(self) -> bytes:
        lines = [*EHLO_LINES]
        if self.sink.context is not None and not self.protected:
            lines.append("STARTTLS")
        if self.sink.behaviour.user:
            lines.append("AUTH LOGIN PLAIN")
        return b"".join(b"250-" + line.encode() + b"\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n".encode()

    def send(self, data: bytes) -> None:
        if self.sink.behaviour.delay:
            time.sleep(self.sink.behaviour.delay)
        size = self.sink.behaviour.piece or max(1, len(data))
        for start in range(0, len(data), size):
            self.sock.sendall(data[start : start + size])
            if self.sink.behaviour.piece:
                time.sleep(0.001)

    def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            data = self.sock.recv(4096)
            if not data:
                raise EOFError
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line


@contextlib.contextmanager
def mail_sink(behaviour: Behaviour | None = None, context: ssl.SSLContext | None = None) -> Iterator[MailSink]:
    sink = MailSink(behaviour, context)
    try:
        yield sink
    finally:
        sink.close()
