"""A control socket as an agent has it, with a service that holds state: for tests of what speaks to agents."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kactl_agent.control.protocol import SOCKET_NAME, ControlError, Parameters
from kactl_agent.control.server import Answer, ControlServer, Method
from kactl_agent.observe.journal import Journal


class FakeService:
    """What an observer serves: a status document, a journal, and the outcome of the next reload."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.document = status
        self.journal = Journal(identity="test")
        self.outcome: dict[str, Any] | ControlError = {"revision": "0" * 64, "changes": None, "message": ""}
        self.reloads = 0

    @property
    def methods(self) -> dict[str, Method]:
        return {"status": lambda _parameters, answer: answer(self.document), "reload": self.reload}

    def events_since(self, cursor: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
        return self.journal.since(cursor, limit)

    def end_of_events(self) -> str:
        return self.journal.cursor

    def follow(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        return self.journal.follow(listener)

    def reload(self, _parameters: Parameters, answer: Answer) -> None:
        self.reloads += 1
        answer(self.outcome)


@contextlib.contextmanager
def serve(run_dir: Path, service: FakeService) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve on `run_dir` in a thread while the block runs; gives the loop the service may be changed from."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(run_dir / SOCKET_NAME))
    listener.listen()
    listener.setblocking(False)
    loop = asyncio.new_event_loop()
    server = ControlServer(loop, listener, service)
    ready = threading.Event()

    def main() -> None:
        loop.run_until_complete(server.start())
        loop.call_soon(ready.set)
        loop.run_forever()
        while tasks := asyncio.all_tasks(loop):  # connections that are being accepted: asyncio leaks them in a close
            loop.run_until_complete(asyncio.wait(tasks))
        server.close()
        for _ in range(3):  # what was let go of is told so in the next turn, and closed in that after it
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=main)
    thread.start()
    try:
        assert ready.wait(10)
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        listener.close()
