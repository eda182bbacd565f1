"""Checks that an operator asks for, of real servers on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from kactl_agent.checkers.actions import CheckEnded, CheckLost
from kactl_agent.checkers.exchanges import make_checker
from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    CheckTiming,
    ConnectTarget,
    FileCheckSettings,
    HttpCheckSettings,
    MiscCheckSettings,
    TcpCheckSettings,
    UrlSettings,
)
from kactl_agent.checkers.snapshot import CheckerSnapshot
from kactl_agent.ipvs.model import AF_INET
from kactl_agent.ipvs.settings import Members, RealServerSettings, VirtualServerSettings
from kactl_agent.runtime.check_run_frames import CheckRunReport, RunCheck
from kactl_agent.runtime.check_runs import MOST_AT_ONCE, CheckRuns
from kactl_agent.runtime.checks import Outcome
from kactl_agent.runtime.probe import ProbeShell
from kactl_agent.tracking.actions import FileContent
from kactl_agent.tracking.settings import Command, FileSettings
from support.check_servers import CheckServer, Do, page, stream_server

TIMING = CheckTiming()


@dataclass
class Balanced:
    settings: VirtualServerSettings


class Balancer:
    """One virtual server with one real server, whose checkers have engines that hear nothing but a file."""

    def __init__(self, *checkers: AnyCheckerSettings) -> None:
        real = RealServerSettings(ip_address("127.0.0.1").packed, 8080, checkers=checkers)
        members = (Members(AF_INET, 6, ip_address("192.0.2.1").packed, 1, 80),)
        self.balanced = Balanced(
            VirtualServerSettings(name="[192.0.2.1]:tcp:80", protocol=6, members=members, real_servers=(real,))
        )
        self.engines = [make_checker(settings, 1) for settings in checkers]
        for settings, engine in zip(checkers, self.engines, strict=True):
            if isinstance(settings, FileCheckSettings):
                engine.handle_event(FileContent(b"3"), 0)

    def __iter__(self) -> Iterator[Balanced]:
        yield self.balanced

    def snapshots(self, balanced: Balanced) -> Sequence[Sequence[CheckerSnapshot]]:
        assert balanced is self.balanced
        return [[engine.snapshot() for engine in self.engines]]


class Running:
    def abort(self) -> None: ...


class Programs:
    """Programs that end at once, as they are told."""

    def __init__(self) -> None:
        self.outcome: Outcome = CheckEnded(True, "exited with status 0")

    def start(self, settings: MiscCheckSettings, done: Callable[[Outcome], None]) -> Running:
        done(self.outcome)
        return Running()


class Bench:
    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.probes = ProbeShell(self.loop)
        self.programs = Programs()
        self.reports: list[CheckRunReport] = []

    def run(self, *checkers: AnyCheckerSettings, real: str = "127.0.0.1", checker: str = "") -> list[CheckRunReport]:
        runs = CheckRuns(Balancer(*checkers), self.probes, self.programs, self._take, time.monotonic_ns)
        runs.run(RunCheck(5, "192.0.2.1:80", real, checker))
        alarm = self.loop.call_later(20, self.loop.stop)
        if not self._complete():
            self.loop.run_forever()
        alarm.cancel()
        reports, self.reports = self.reports, []
        return sorted(reports, key=lambda report: report.order)

    def _take(self, report: CheckRunReport) -> None:
        assert report.serial == 5
        self.reports.append(report)
        if self._complete():
            self.loop.stop()

    def _complete(self) -> bool:
        return bool(self.reports) and (bool(self.reports[0].error) or len(self.reports) == self.reports[0].total)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.probes.close()
    made.loop.close()


def target(server: CheckServer) -> ConnectTarget:
    return ConnectTarget(address=server.address, port=server.port)


def test_every_checker_is_run_and_says_what_it_saw(bench: Bench) -> None:
    with stream_server(Do.READ, page()) as server:
        urls = (UrlSettings(path="/a", host="x"), UrlSettings(path="/b", host="x", digest="0" * 32))
        http = HttpCheckSettings(timing=TIMING, target=target(server), urls=urls)
        tcp = TcpCheckSettings(timing=CheckTiming(alpha=True), target=target(server))
        web, connection = bench.run(http, tcp)
    assert (web.checker, web.success, web.up, web.total) == ("HTTP_GET", False, True, 2)
    assert web.detail.startswith("/b: digest ")
    text = "\n".join(web.trace)
    assert "GET /a HTTP/1.0" in text
    assert "success: /a: status 200, 5 bytes" in text
    assert "GET /b HTTP/1.0" in text
    assert (connection.checker, connection.success, connection.up) == ("TCP_CHECK", True, False)
    assert connection.duration > 0
    assert (web.virtual_server, web.real_server) == ("[192.0.2.1]:tcp:80", "127.0.0.1:8080")


def test_a_url_that_fails_ends_the_run(bench: Bench) -> None:
    with stream_server(Do.READ, page(status=500)) as server:
        urls = (UrlSettings(path="/a", host="x"), UrlSettings(path="/b", host="x"))
        (report,) = bench.run(HttpCheckSettings(timing=TIMING, target=target(server), urls=urls))
    assert report.detail == "/a: status 500, not 200-299"
    assert len(server.requests) == 1


def test_programs_and_what_follows_something(bench: Bench) -> None:
    misc = MiscCheckSettings(timing=TIMING, command=Command(("/bin/check", "x")), timeout=1)
    file = FileCheckSettings(timing=TIMING, file=FileSettings(name="f", path="/run/f"))
    bench.programs.outcome = CheckEnded(False, "exited with status 1")
    program, followed = bench.run(misc, file)
    assert (program.success, program.detail) == (False, "exited with status 1")
    assert program.trace == ("/bin/check x",)
    assert (followed.success, followed.detail) == (None, "/run/f holds 3")
    bench.programs.outcome = CheckLost()
    (program,) = bench.run(misc)
    assert (program.success, program.detail) == (False, "what was to run it is not there: try again")


def test_one_kind_of_checker_alone(bench: Bench) -> None:
    misc = MiscCheckSettings(timing=TIMING, command=Command(("/x",)), timeout=1)
    with stream_server(Do.HOLD) as server:
        reports = bench.run(misc, TcpCheckSettings(timing=TIMING, target=target(server)), checker="TCP_CHECK")
    assert [report.checker for report in reports] == ["TCP_CHECK"]


def test_what_cannot_be_run_is_said(bench: Bench) -> None:
    misc = MiscCheckSettings(timing=TIMING, command=Command(("/x",)), timeout=1)
    (report,) = bench.run(misc, real="10.0.0.9")
    assert "there is no real server of [192.0.2.1]:tcp:80 `10.0.0.9`" in report.error
    (report,) = bench.run(misc, checker="TCP_CHECK")
    assert report.error == "real server 127.0.0.1:8080 of [192.0.2.1]:tcp:80 has no TCP_CHECK"
    (report,) = bench.run()
    assert report.error.endswith("has no checker")
    (report,) = bench.run(*[misc] * (MOST_AT_ONCE + 1))
    assert "under way already" in report.error
