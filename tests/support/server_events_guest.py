"""Two real servers behind a quorum, under keepalived and under kactl, and all they tell others: scripts, lines, mails.

As a program (`python server_events_guest.py CONVERTED RESULTS`) it runs in a kernel with IPVS: the machine's own, in a
network namespace, or that of User Mode Linux (support.uml). `text` is the configuration; CONVERTED is
the same for kactl.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.mail_sink import MailSink

FOLDER = Path("/run/kactl-server-events")
MAIL_PORT = 2525
SERVERS = (8081, 8082)
_QUIET = 1.5
_PATIENCE = 40.0  # the kernel may be emulated


def text() -> str:
    """keepalived.conf: quorum 2 of weights 2 and 1, hysteresis 1."""
    recorder = FOLDER / "record"
    servers = "".join(
        f"""
  real_server 127.0.0.1 {port} {{
    weight {weight}
    notify_up "{recorder} up {port}"
    notify_down "{recorder} down {port} 'two words'"
    TCP_CHECK {{
      connect_timeout 2
      retry 0
      delay_loop 1
      warmup 0
    }}
  }}"""
        for port, weight in zip(SERVERS, (2, 1), strict=True)
    )
    return f"""
global_defs {{
  router_id RID
  script_user root
  notification_email {{
    a@example.org
  }}
  notification_email_from f@example.org
  smtp_server 127.0.0.1 {MAIL_PORT}
  smtp_helo_name h
  smtp_alert
  lvs_notify_fifo {FOLDER}/fifo
}}
virtual_server 192.0.2.10 80 {{
  lb_algo rr
  lb_kind NAT
  protocol TCP
  quorum 2
  hysteresis 1
  quorum_up "{recorder} quorum up"
  quorum_down "{recorder} quorum down"
{servers}
}}
"""


class Listener:
    """A real server that can be reached or not."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self.checks = 0

    def start(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._serve, args=(self._socket,), daemon=True).start()

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()
                self.checks += 1


class Watch:
    """What is told, while one daemon runs."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._data = b""
        (FOLDER / "calls").write_text("")
        (FOLDER / "fifo").unlink(missing_ok=True)

    @property
    def lines(self) -> list[str]:
        if self._descriptor < 0 and (FOLDER / "fifo").exists():
            self._descriptor = os.open(FOLDER / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        if self._descriptor >= 0:
            with contextlib.suppress(BlockingIOError):
                while data := os.read(self._descriptor, 65536):
                    self._data += data
        return self._data.decode().splitlines()

    def wait_lines(self, count: int) -> None:
        self.wait(lambda: len(self.lines) >= count)

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)


def _calls() -> list[str]:
    return (FOLDER / "calls").read_text().splitlines()


def _be_quiet(watch: Watch) -> None:
    """Until no script that the daemon started has anything more to say."""
    last, since = -1, time.monotonic()

    def quiet() -> bool:
        nonlocal last, since
        count = len(_calls())
        if count != last:
            last, since = count, time.monotonic()
        return time.monotonic() - since > _QUIET

    watch.wait(quiet)


def play(command: list[str], sink: MailSink) -> dict[str, Any]:
    """Both servers are up, the first and then the second goes down, both come back, the daemon stops."""
    listeners = [Listener(port) for port in SERVERS]
    for listener in listeners:
        listener.start()
    sink.mails.clear()
    watch = Watch()
    log = FOLDER / "log"
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as daemon:
        watch.wait_lines(1)
        # the first checks tell nothing: they have been made when the second ones are
        watch.wait(lambda: all(listener.checks >= 2 for listener in listeners))
        for act, count in (
            (listeners[0].stop, 2),
            (listeners[1].stop, 4),
            (listeners[0].start, 5),
            (listeners[1].start, 7),
        ):
            act()
            watch.wait_lines(count)
        watch.wait(lambda: len(sink.mails) >= 7)
        watch.wait(lambda: len(_calls()) >= 7)  # scripts that were started are not ended ones
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
    _be_quiet(watch)
    for listener in listeners:
        listener.stop()
    mails = sorted([mail.commands, mail.message.decode().split("\r\n", 1)[1]] for mail in sink.mails)
    return {"lines": watch.lines, "calls": sorted(_calls()), "mails": mails, "log": log.read_text()[-4000:]}


def main(converted: str, results: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    recorder = FOLDER / "record"
    recorder.write_text(f'#!/bin/sh\necho "$#: $*" >> {FOLDER}/calls\n')
    recorder.chmod(0o755)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    conf = FOLDER / "keepalived.conf"
    conf.write_text(text())
    sink = MailSink(port=MAIL_PORT)
    keepalived = [
        "keepalived",
        "-C",
        "-n",
        "-l",
        "-D",
        "-f",
        str(conf),
        f"--pid={FOLDER}/k",
        f"--checkers_pid={FOLDER}/c",
    ]
    kactl = [
        sys.executable,
        "-m",
        "kactl_agent",
        "--config",
        converted,
        "--run-dir",
        f"{FOLDER}/run",
        "--only",
        "checkers",
    ]
    found = {"keepalived": play(keepalived, sink), "kactl": play(kactl, sink)}
    Path(results).write_text(json.dumps(found))
    sink.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
