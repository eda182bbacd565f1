"""Speed of the conversion: lines per second of a large file, and the time of the command for a small one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from kactl.keepalived_conf.load import load
from kactl.keepalived_conf.writer import write
from kactl_agent.config.bind import bind
from kactl_agent.config.emit import emit
from support.figures import Figure, add

LINES = 23_000
LARGE_LIMIT = 3.0  # seconds for keepalived.conf -> YAML
SMALL_LIMIT = 0.4  # seconds of CPU time for the command, process start included: wall time depends on who else runs

SERVER = """\
virtual_server 10.{a}.{b}.1 443 {{
    delay_loop 6
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    # pool {a}.{b}
    real_server 192.168.{b}.10 8443 {{
        weight 10
        SSL_GET {{
            url {{
                path /healthz
                status_code 200
            }}
            connect_timeout 3 # seconds
        }}
    }}
    real_server 192.168.{b}.11 8443 {{
        weight 10
        TCP_CHECK {{
            connect_timeout 3
        }}
    }}
}}
"""

SMALL = """\
vrrp_script chk {
    script "/usr/bin/killall -0 haproxy"
    interval 2
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 150
    virtual_ipaddress {
        192.0.2.10/24
    }
    track_script {
        chk
    }
}
"""


def large_file() -> str:
    blocks = LINES // SERVER.count("\n")
    return "".join(SERVER.format(a=number // 250, b=number % 250) for number in range(blocks))


def test_large_file() -> None:
    text = large_file()
    lines = text.count("\n")
    load(SMALL.encode(), "warm-up.conf")
    start = time.perf_counter()
    document = load(text.encode(), "large.conf").document
    yaml = emit(document)
    there = time.perf_counter() - start
    assert not document.errors
    start = time.perf_counter()
    written = write(bind(yaml, "large.yaml"), lambda path: path)
    back = time.perf_counter() - start
    assert written.text.count("\n") >= lines
    add(Figure(f"keepalived.conf of {lines} lines to YAML", "s", there, must="< 3 s"))
    add(Figure("conversion to YAML: lines a second", "/s", lines / there))
    add(Figure("conversion back: lines a second", "/s", lines / back))
    assert there < LARGE_LIMIT


def test_small_file(tmp_path: Path) -> None:
    source = tmp_path / "keepalived.conf"
    source.write_text(SMALL)
    command = [sys.executable, "-m", "kactl", "convert", str(source), "-o", str(tmp_path / "agent.yaml")]
    subprocess.run(command, check=True, capture_output=True)
    wall, cpu = [], []
    for _ in range(5):
        start, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        wall.append(time.perf_counter() - start)
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    lines = SMALL.count("\n")
    add(Figure(f"kactl convert of {lines} lines: wall", "ms", min(wall) * 1000, must="< 400 ms"))
    add(Figure(f"kactl convert of {lines} lines: processor time", "ms", min(cpu) * 1000))
    assert min(cpu) < SMALL_LIMIT
