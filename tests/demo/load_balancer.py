"""The load-balancing demo: three nginx servers behind one address, curl traffic; one dies, traffic moves, it returns.

Runs as root in a kernel with IPVS: the machine's own, or that of User Mode Linux (see load_balancer_start.py). Network
namespaces hang on a bridge: a director with the agent, three web servers, and a client.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

VIP = "192.0.2.10"
WEBS = ("web1", "web2", "web3")
CONFIG = """global_defs: {router_id: director}
virtual_server:
  - address: 192.0.2.10
    port: 80
    protocol: TCP
    lb_algo: rr
    lb_kind: NAT
    delay_loop: 0.5
    delay_before_retry: 0.2
    warmup: 0.1
    retry: 1
    connect_timeout: 1
    real_server:
"""
REAL = "      - {{address: 10.0.0.{0}, port: 80, HTTP_GET: {{url: [{{path: /health, status_code: 200}}]}}}}\n"


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def inside(namespace: str, *words: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *words]


def network(name: str, address: str, bridge: str, gateway: str = "") -> None:
    """A namespace with eth0 on a bridge of the director's."""
    run("ip", "netns", "add", name)
    run("ip", "link", "add", f"v{name}", "netns", "director", "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "-n", "director", "link", "set", f"v{name}", "master", bridge, "up")
    run("ip", "-n", name, "address", "add", address, "dev", "eth0")
    for interface in ("lo", "eth0"):
        run("ip", "-n", name, "link", "set", interface, "up")
    if gateway:
        run("ip", "-n", name, "route", "add", "default", "via", gateway)


def build() -> None:
    run("ip", "netns", "add", "director")
    run("ip", "-n", "director", "link", "set", "lo", "up")
    for bridge, address in (("inner", "10.0.0.254/24"), ("outer", f"{VIP}/24")):
        run("ip", "-n", "director", "link", "add", bridge, "type", "bridge")
        run("ip", "-n", "director", "address", "add", address, "dev", bridge)
        run("ip", "-n", "director", "link", "set", bridge, "up")
    run(*inside("director", "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    for number, name in enumerate(WEBS, 1):
        network(name, f"10.0.0.{number}/24", "inner", "10.0.0.254")
    network("client", "192.0.2.1/24", "outer")


def nginx(name: str, folder: Path) -> subprocess.Popen[bytes]:
    prefix = folder / name
    prefix.mkdir(exist_ok=True)
    config = prefix / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; user root; pid {prefix}/pid; error_log {prefix}/error.log;\n"
        "events { worker_connections 64; }\n"
        f"http {{ access_log off; client_body_temp_path {prefix}/a; proxy_temp_path {prefix}/b; "
        f"fastcgi_temp_path {prefix}/c; uwsgi_temp_path {prefix}/d; scgi_temp_path {prefix}/e;\n"
        f'server {{ listen 80; location / {{ return 200 "{name}\\n"; }} }} }}\n'
    )
    words = inside(name, "nginx", "-e", f"{prefix}/error.log", "-p", str(prefix), "-c", str(config))
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def traffic(requests: int) -> Counter[str]:
    """Who answers so many requests of the client, `nobody` for those that fail."""
    answers: Counter[str] = Counter()
    for _ in range(requests):
        words = inside("client", "curl", "-s", "-m", "10", f"http://{VIP}/")
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        answers[done.stdout.strip() if done.returncode == 0 else "nobody"] += 1
    return answers


def shown(answers: Counter[str]) -> str:
    return ", ".join(f"{name}: {answers[name]}" for name in (*WEBS, "nobody") if answers[name] or name in WEBS)


def wait(condition: Callable[[], bool], seconds: float, what: str) -> float:
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - began


def alive(run_dir: Path) -> set[str] | None:
    """Real servers that the agent says are alive; None when it says nothing."""
    words = [sys.executable, "-m", "kactl", "status", "--run-dir", str(run_dir), "--output", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    servers = json.loads(done.stdout)["ipvs"]["virtual_servers"]
    checked = [real for server in servers for real in server["real_servers"] if real["checkers"][0]["last_run"]]
    return {f"web{real['address'].rpartition('.')[2]}" for real in checked if real["alive"]}


@contextlib.contextmanager
def playing(folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        yield processes
    finally:
        for process in reversed(processes.values()):
            process.terminate()
        for process in processes.values():
            process.wait()
        for name in ("client", *WEBS, "director"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="kactl-demo-", dir="/run") as name, playing(Path(name)) as processes:
        folder = Path(name)
        say("three web servers behind 192.0.2.10, an agent on the director, a client")
        build()
        for web in WEBS:
            processes[web] = nginx(web, folder)
        config, run_dir, log = folder / "agent.yaml", folder / "run", folder / "agent.log"
        config.write_text(CONFIG + "".join(REAL.format(number) for number in (1, 2, 3)))
        with log.open("w") as output:
            words = [sys.executable, "-m", "kactl_agent", "--config", str(config), "--run-dir", str(run_dir)]
            processes["agent"] = subprocess.Popen(inside("director", *words), stdout=output, stderr=output)
        try:
            wait(lambda: alive(run_dir) == set(WEBS), 60, "all real servers are alive")
            say(f"all three are alive; 12 requests     {shown(traffic(12))}")
            processes["web2"].kill()
            processes["web2"].wait()
            say("web2 is killed")
            took = wait(lambda: alive(run_dir) == {"web1", "web3"}, 60, "web2 is found dead")
            answers = traffic(12)
            say(f"noticed after {took:.1f} s; 12 requests     {shown(answers)}")
            assert not answers["web2"], "traffic still goes to web2"
            assert not answers["nobody"], "requests were lost"
            processes["web2"] = nginx("web2", folder)
            say("web2 is started again")
            took = wait(lambda: alive(run_dir) == set(WEBS), 60, "web2 is found alive")
            answers = traffic(12)
            say(f"noticed after {took:.1f} s; 12 requests     {shown(answers)}")
            assert answers["web2"], "no traffic goes to web2"
        except (RuntimeError, AssertionError) as error:
            print(f"demo: {error}\n{log.read_text()}", file=sys.stderr)
            return 1
        say("why, in the agent's words:")
        said = [line for line in log.read_text().splitlines() if "10.0.0.2" in line]
        print("\n".join(f"          {line[25:]}" for line in said), flush=True)
    return 0


if __name__ == "__main__":
    if os.geteuid():
        print("demo: needs root", file=sys.stderr)
        sys.exit(1)
    sys.exit(main())
