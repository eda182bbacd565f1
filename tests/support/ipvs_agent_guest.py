"""Inside a kernel with IPVS: what only the agent and the kernel are needed for.

As a program (`python ipvs_agent_guest.py RESULTS`) it writes, for every case, what it saw, as JSON; see
tests/kernel/test_ipvs_agent.py for what that should be.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from kactl_agent.ipvs import genl
from kactl_agent.ipvs.model import SyncDaemon, Timeouts
from kactl_agent.kernel.ipvs import NetlinkIpvs
from support.ipvs_guest import FOLDER, rules, shell, wait, write

COMMANDS = (
    # what ipvsadm(8) can say of services and destinations
    "-A -t 10.0.0.1:80 -s wlc",
    "-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 5 -x 100 -y 50",
    "-A -t 10.0.0.2:80 -s wrr",
    "-a -t 10.0.0.2:80 -r 10.0.1.2:80 -i -w 0 --tun-type gue --tun-port 6080 --tun-csum",
    "-a -t 10.0.0.2:80 -r 10.0.1.5:80 -i --tun-type gue --tun-port 6080 --tun-remcsum",
    "-a -t 10.0.0.2:80 -r 10.0.1.3:80 -i --tun-type gre",
    "-a -t 10.0.0.2:80 -r 10.0.1.4:80 -g",
    "-A -u [2001:db8::1]:53 -s rr -p 300 -M 64 -o",
    "-a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -g",
    "-a -u [2001:db8::1]:53 -r 10.9.9.9:53 -i",
    "-A -f 7 -s sh -b sh-port,sh-fallback -p 10 -M 255.255.255.0",
    "-a -f 7 -r 10.0.1.1:0 -g -w 3",
    "-A -f 7 -6 -s mh",
    "-A -u 10.0.0.9:5060 -s rr -p 60 --pe sip",
    "-A --sctp-service 10.0.0.1:99 -s nq",
)
CONFIG = """
{head}
track_file:
  f1: {{file: {folder}/f1}}
virtual_server:
  - address: 10.0.0.1
    port: {port}
    protocol: TCP
    lb_algo: rr
    lb_kind: NAT
    real_server:
      - {{address: 10.0.1.1, FILE_CHECK: {{track_file: f1, weight: 0}}}}
      - {{address: 10.0.1.2}}
"""
VRRP = "vrrp_instance:\n  VI: {interface: d0, virtual_router_id: 51, priority: 255, virtual_ipaddress: [10.0.0.7/24]}\n"


def codec() -> dict[str, Any]:
    """Everything ipvsadm makes is read, deleted, and made again from what was read."""
    shell("ipvsadm -C")
    said = [shell(f"ipvsadm {command} 2>&1") for command in COMMANDS]
    before = rules()
    port = NetlinkIpvs()
    requests = []
    for seen in port.services():
        requests.append(genl.encode_new_service(seen.service))
        owner = genl.encode_owner(seen.service.key)
        for each in port.destinations(seen.service.key):
            requests.append(genl.encode_new_destination(owner, genl.encode_destination(each.destination)))
    refused = port.apply([genl.encode_flush()])
    empty = rules()
    refused += port.apply(requests)
    after = rules()
    again = [failure.error for failure in port.apply(requests)]
    port.apply([genl.encode_flush()])
    daemons = [SyncDaemon(True, "d0", 3, 1000, bytes((224, 0, 0, 99)), 9999, 7), SyncDaemon(False, "d0", 4)]
    refused += port.apply([genl.encode_new_daemon(daemon) for daemon in daemons])
    running = shell("ipvsadm -l --daemon").splitlines()
    refused += port.apply([genl.encode_delete_daemon(daemon) for daemon in port.daemons()])
    old = port.timeouts()
    refused += port.apply([genl.encode_set_timeouts(Timeouts(100, 0, 50))])
    timeouts = shell("ipvsadm -l --timeout").strip()
    port.apply([genl.encode_set_timeouts(old)])
    version = port.info().version
    port.close()
    return {
        "said": said, "before": before, "empty": empty, "after": after, "refused": refused, "again": again,
        "daemons": running, "timeouts": timeouts, "version": version,
    }  # fmt: skip


def configured(head: str = "", port: int = 80) -> str:
    return CONFIG.format(head=head, folder=FOLDER, port=port)


@contextlib.contextmanager
def agent(head: str = "", options: tuple[str, ...] = ("--only", "checkers")) -> Iterator[subprocess.Popen[bytes]]:
    shell("ipvsadm -C")
    write("f1", "0")
    config, log = FOLDER / "agent.yaml", FOLDER / "agent.log"
    config.write_text(configured(head))
    words = [sys.executable, "-m", "kactl_agent", "--config", str(config), "--run-dir", str(FOLDER / "run"), *options]
    with log.open("wb") as output, subprocess.Popen(words, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait()
            print(log.read_text())


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> str:
    """Empty when it became so."""
    return "" if wait(condition, seconds) else f"never: {what}; {rules()}"


def has(*reals: int) -> bool:
    return [line.split()[4] for line in rules() if line.startswith("-a")] == [f"10.0.1.{number}:80" for number in reals]


def worker_pid() -> int:
    done = subprocess.run(
        [sys.executable, "-m", "kactl", "status", "--run-dir", str(FOLDER / "run"), "--output", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return json.loads(done.stdout)["agent"]["processes"]["checkers"]["pid"] or 0 if done.returncode == 0 else 0


def worker(but: Collection[int] = ()) -> int:
    """The pid of one that is none of these, once there is one; never 0, which would be us all."""
    found: list[int] = []

    def other() -> bool:
        found[:] = [pid for pid in [worker_pid()] if pid and pid not in but]
        return bool(found)

    if not wait(other, 60):
        raise SystemExit(f"no worker but {but}\n{(FOLDER / 'agent.log').read_text()}")
    return found[0]


def killed_worker() -> list[str]:
    """Its death leaves the table alone, and the next one goes on."""
    problems = []
    with agent():
        problems.append(until(lambda: has(1, 2), "two real servers"))
        first = worker()
        os.kill(first, signal.SIGKILL)
        missing = wait(lambda: not has(1, 2), 1)
        problems.append("its death has taken something with it" if missing else "")
        worker(but=[first])
        write("f1", "1")
        problems.append(until(lambda: has(2), "the next worker takes a failed server out"))
    problems.append("" if not rules() else f"left behind: {rules()}")
    return [problem for problem in problems if problem]


def killed(times: int) -> list[str]:
    """One worker after the other; each that follows waits twice as long as the one before, the first 1 s."""
    pids: list[int] = []
    for _ in range(times):
        pids.append(worker(but=pids))
        os.kill(pids[-1], signal.SIGKILL)
    return [until(lambda: worker_pid() == 0, "it is dead")]


def left_behind() -> list[str]:
    """What only the configuration of a dead worker has goes when another one has taken over, or there is to be none."""
    daemons = functools.partial(shell, "ipvsadm -l --daemon")
    timeouts = functools.partial(shell, "ipvsadm -l --timeout")
    config, before = FOLDER / "agent.yaml", timeouts()
    head = "global_defs: {lvs_sync_daemon: {interface: d1, id: 7}, lvs_timeouts: {tcp: 100}}"
    with agent(head) as process:
        problems = [until(lambda: has(1, 2) and "syncid=7" in daemons(), "two real servers and the daemons")]
        problems += killed(4)
        config.write_text(configured(port=81))
        process.send_signal(signal.SIGHUP)
        problems.append(
            until(lambda: len(seen := rules()) == 3 and all(":81 " in line for line in seen), "the other port alone")
        )
        problems.append(until(lambda: not daemons().strip(), "no daemon"))
        problems.append(until(lambda: timeouts() == before, "the idle timeouts of before"))
        problems += killed(1)
        problems.append("" if rules() else "its death has taken something with it")
        config.write_text("global_defs: {router_id: idle}\n")
        process.send_signal(signal.SIGHUP)
        problems.append(until(lambda: not rules(), "nothing"))
    return [problem for problem in problems if problem]


def drift() -> list[str]:
    """What somebody else takes away comes back."""
    with agent():
        problems = [until(lambda: has(1, 2), "two real servers")]
        shell("ipvsadm -d -t 10.0.0.1:80 -r 10.0.1.2:80")
        problems.append(until(lambda: has(1, 2), "the destination is put back", 60))
    return [problem for problem in problems if problem]


def keep() -> list[str]:
    with agent(options=("--only", "checkers", "--keep-ipvs")):
        problems = [until(lambda: has(1, 2), "two real servers")]
    problems.append("" if has(1, 2) else "--keep-ipvs has not kept it")
    return [problem for problem in problems if problem]


def namespace() -> list[str]:
    shell("ip netns add lvs; ip -n lvs link set lo up")

    def inside() -> list[str]:
        return shell("ip netns exec lvs ipvsadm -Sn").splitlines()

    with agent("net_namespace_ipvs: lvs") as process:
        problems = [until(lambda: len(inside()) == 3, "services in the other namespace")]
        first = worker()
        (FOLDER / "agent.yaml").write_text(configured())
        process.send_signal(signal.SIGHUP)
        said = "net_namespace_ipvs is not changed by a reload"
        problems.append(until(lambda: said in (FOLDER / "agent.log").read_text(), "a reload that says what stays"))
        write("f1", "1")
        problems.append(until(lambda: len(inside()) == 2, "checked there after the reload, too"))
        problems.append("" if worker() == first else "another worker")
        problems.append("" if not rules() else f"in its own: {rules()}")
    problems.append("" if not inside() else f"left behind: {inside()}")
    return [problem for problem in problems if problem]


def sync_daemon() -> list[str]:
    """It follows an instance, which is MASTER until its interface goes down."""

    def states() -> list[str]:
        return [line.split()[0] for line in shell("ipvsadm -l --daemon").splitlines() if line]

    head = f"global_defs: {{lvs_sync_daemon: {{interface: d1, inst: VI}}}}\n{VRRP}"
    with agent(head, ("--only", "checkers,vrrp")):
        problems = [until(lambda: states() == ["master"], "the master daemon")]
        problems.append("" if "syncid=51" in shell("ipvsadm -l --daemon") else "the wrong id")
        shell("ip link set d0 down")
        problems.append(until(lambda: states() == ["backup"], "the backup daemon"))
        shell("ip link set d0 up; ip addr add 10.0.0.254/24 dev d0")
        problems.append(until(lambda: states() == ["master"], "the master daemon again"))
    problems.append("" if not states() else f"left running: {states()}")
    return [problem for problem in problems if problem]


def main(arguments: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for command in (
        "ip link set lo up", "ip link add d0 type dummy", "ip link set d0 up", "ip addr add 10.0.0.254/24 dev d0",
        "ip link add d1 type dummy", "ip link set d1 up", "ip addr add 10.9.0.254/24 dev d1",
    ):  # fmt: skip
        shell(command)
    results: dict[str, Any] = {"codec": codec()}
    for case in (killed_worker, left_behind, drift, keep, namespace, sync_daemon):
        results[case.__name__] = case()
    Path(arguments[0]).write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
