"""When keepalived checks, and when a schedule of ours would, of servers that fail at given checks.

As a program, in a kernel with IPVS, it lets keepalived check for some time and prints when it did, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from kactl_agent.checkers.actions import CheckEnded, CheckVerdict, StartCheck
from kactl_agent.checkers.schedule import CheckSchedule
from kactl_agent.checkers.settings import AnyCheckerSettings
from kactl_agent.vrrp.actions import Startup
from support.check_servers import CheckServer, Do, Step, datagram_server, dns_answer, page, stream_server

SECONDS = 24.0
SLACK = 0.7
"""Seconds by which a loaded guest may be late, in either of two checks that follow each other."""

_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Rhythm:
    """A checker in keepalived's words; the checks of it that succeed, as `+`, and fail, as `-`; the last one goes on.

    `lasts`: seconds a check takes that fails. `until`: as many checks are compared.
    """

    checker: str
    answers: str
    lasts: float = 0.0
    server: str = ""
    until: int = 99

    def success(self, number: int) -> bool:
        return self.answers[min(number, len(self.answers) - 1)] == "+"


def get(*urls: str, more: str = "") -> str:
    blocks = "".join(f"url {{\n path {url}\n }}\n" for url in urls)
    return f"HTTP_GET {{\n {blocks} connect_timeout 2\n {more}\n }}"


RHYTHMS: dict[str, Rhythm] = {
    "one page": Rhythm(get("/a"), "+"),
    "one page fails, and is back": Rhythm(get("/a"), "++----++"),
    "one page fails once": Rhythm(get("/a"), "++-+"),
    "one page fails from the start": Rhythm(get("/a"), "--++"),
    "two pages": Rhythm(get("/a", "/b"), "+"),
    "two pages, one fails once": Rhythm(get("/a", "/b"), "+++-+"),
    "two pages, one fails": Rhythm(get("/a", "/b"), "+++----+"),
    "two pages, the second fails in the first pass": Rhythm(get("/a", "/b"), "+--+"),
    "fast recovery": Rhythm(get("/a", "/b", more="fast_recovery"), "--+"),
    "no retries": Rhythm(get("/a", more="retry 0"), "+-+"),
    "down at first": Rhythm(get("/a", "/b", more="alpha"), "--+"),
    "a longer wait for the retry": Rhythm(get("/a", more="delay_before_retry 4"), "+----+"),
    "mail": Rhythm("SMTP_CHECK {\n connect_timeout 2\n }", "++-+--+"),
    "mail fails from the start": Rhythm("SMTP_CHECK {\n connect_timeout 2\n }", "-", until=3),
    "names": Rhythm("DNS_CHECK {\n connect_timeout 1\n }", "++-+", lasts=1.0),
    "names fail": Rhythm("DNS_CHECK {\n connect_timeout 1\n }", "+-----", lasts=1.0),
    "names fail from the start": Rhythm("DNS_CHECK {\n connect_timeout 1\n }", "--+", lasts=1.0),
    "datagrams": Rhythm("UDP_CHECK {\n payload 61\n require_reply\n connect_timeout 1\n }", "++-+---", lasts=1.0),
}


def configuration(ports: Sequence[int]) -> str:
    parts = ["global_defs {\n router_id x\n}"]
    for number, (rhythm, port) in enumerate(zip(RHYTHMS.values(), ports, strict=True), 1):
        parts.append(
            f"virtual_server 10.9.0.{number} 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n delay_loop 3\n"
            f" warmup 0\n retry 2\n delay_before_retry 1\n {rhythm.server}\n"
            f" real_server 127.0.0.1 {port} {{\n weight 1\n"
            f" {rhythm.checker}\n }}\n}}"
        )
    return "\n".join(parts) + "\n"


# -- keepalived ----------------------------------------------------------------------------------------------------


def _stream(rhythm: Rhythm) -> Callable[[int], Sequence[Step]]:
    if "SMTP" in rhythm.checker:
        good: tuple[Step, ...] = (b"220 hi\r\n", Do.READ, b"250 ok\r\n", Do.READ, b"221 bye\r\n")
        bad: tuple[Step, ...] = (b"554 no\r\n", Do.READ)
    else:
        good, bad = (Do.READ, page()), (Do.READ, page(status=500))
    return lambda number: good if rhythm.success(number) else bad


def _datagram(rhythm: Rhythm) -> Callable[[bytes], Sequence[bytes]]:
    asked = 0

    def answer(data: bytes) -> Sequence[bytes]:
        nonlocal asked
        asked += 1
        return dns_answer()(data.ljust(12, b"\0")) if rhythm.success(asked - 1) else []

    return answer


@contextlib.contextmanager
def servers() -> Iterator[list[CheckServer]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                datagram_server(_datagram(rhythm))
                if "DNS" in rhythm.checker or "UDP" in rhythm.checker
                else stream_server(script=_stream(rhythm))
            )
            for rhythm in RHYTHMS.values()
        ]


def observe_keepalived() -> dict[str, list[float]]:
    """Seconds from the first check to each of them."""
    with tempfile.TemporaryDirectory() as name, servers() as made:
        folder = Path(name)
        (folder / "keepalived.conf").write_text(configuration([server.port for server in made]))
        command = ["keepalived", "-n", "-C", "-f", str(folder / "keepalived.conf")]
        pids = ["-p", str(folder / "pid"), "-c", str(folder / "checkers.pid")]
        with subprocess.Popen([*command, *pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
            time.sleep(SECONDS)
            daemon.terminate()
        return {
            rhythm: [at - server.times[0] for at in server.times] for rhythm, server in zip(RHYTHMS, made, strict=True)
        }


def keepalived_in_uml() -> dict[str, list[float]]:
    from support import uml

    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    done = uml.run([sys.executable, __file__], environment={"PYTHONPATH": path}, timeout=200)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


# -- kactl ----------------------------------------------------------------------------------------------------


def simulate(rhythm: Rhythm, settings: AnyCheckerSettings, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds from the first check to each of them, and those of the changes between up and down."""
    schedule = CheckSchedule(settings, 1)
    schedule.handle_event(Startup(), 0)
    times: list[float] = []
    changes: list[float] = []
    first = schedule.deadline() or 0
    while (deadline := schedule.deadline()) is not None and deadline - first <= seconds * _SECOND:
        (start,) = schedule.handle_timer(deadline)
        assert isinstance(start, StartCheck)
        success = rhythm.success(len(times))
        times.append((deadline - first) / _SECOND)
        end = deadline + (0 if success else int(rhythm.lasts * _SECOND))
        actions = schedule.handle_event(CheckEnded(success, ""), end)
        changes += [(end - first) / _SECOND for action in actions if isinstance(action, CheckVerdict)]
    return times, changes


def settings_of_all() -> dict[str, AnyCheckerSettings]:
    """By the converter and the resolver, from keepalived's words."""
    from kactl_agent.config.checkers import CheckerResolver
    from kactl_agent.config.checks.problem import Sheet
    from kactl_agent.config.schema.shapes import or_default
    from support.conversion import document_of

    document = document_of(configuration([1000 + number for number, _ in enumerate(RHYTHMS)]))
    resolver = CheckerResolver(Sheet(document))
    found: dict[str, AnyCheckerSettings] = {}
    for name, server in zip(RHYTHMS, or_default(document.config.virtual_server, ()), strict=True):
        (real,) = or_default(server.real_server, ())
        (found[name],) = resolver.resolve((), server, real, "127.0.0.1", 1000)
    return found


def gaps(times: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


if __name__ == "__main__":
    json.dump(observe_keepalived(), sys.stdout)
