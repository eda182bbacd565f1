"""Runs the installed keepalived on configurations, each in namespaces of its own, and brings back what it made of them.

`observe(jobs)` gives one Observation a job: exit status and messages of `keepalived -t`, and, where the daemon starts,
the state dumps that every process of it writes on SIGUSR1. The namespaces (network, mount, process, IPC, host name)
hold the interfaces the job names and a file system that is read-only but for the job's own folder and /run: scripts
that a configuration names can touch nothing.

As a program (`python keepalived_peer.py JOBS RESULTS`, JSON) it does the same inside another kernel: see support.uml.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from glob import glob
from pathlib import Path

START_TIMEOUT = 30.0
"""Seconds until a daemon must have started and written its dumps; a loaded machine included."""

ATTEMPTS = 3
"""Runs of a daemon that crashes, at most."""

CHILDREN = {"VRRP": "vrrp", "Healthcheck": "check", "BFD": "bfd"}
"""The daemon's name for a child in its log -> our name for the dump it writes."""


@dataclass(frozen=True)
class Job:
    """One run of keepalived."""

    conf: str  # path of the configuration file
    interfaces: tuple[str, ...] = ()  # made before the start, in this order
    net_namespaces: tuple[str, ...] = ()  # named network namespaces that must exist
    config_id: str = "lb1"
    options: tuple[str, ...] = ()  # further options of the daemon, such as -P
    environment: dict[str, str] = field(default_factory=dict)
    starts: bool = True  # the daemon too, not only its check of the configuration


@dataclass(frozen=True)
class Observation:
    """What keepalived made of a configuration."""

    test_status: int  # exit status of `keepalived -t`
    test_messages: tuple[str, ...]
    started: bool
    dumps: dict[str, str]  # parent, vrrp, check, bfd -> text
    log: str


_TUPLES = ("interfaces", "net_namespaces", "options")


def keepalived_path() -> str | None:
    return shutil.which("keepalived", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@cache
def why_not() -> str | None:
    """Why no keepalived can be run in namespaces here; None when it can."""
    if keepalived_path() is None:
        return "keepalived is not installed"
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "needs unshare (util-linux) and ip (iproute2)"
    with tempfile.TemporaryDirectory(prefix="kactl-peer-") as folder:
        tried = subprocess.run(
            [*_unshare(), "sh", "-ec", _PREPARE, "sh", folder], capture_output=True, text=True, check=False
        )
    return None if tried.returncode == 0 else f"needs root or user namespaces: {tried.stderr.strip()[:200]}"


def kernel_has_ipvs() -> bool:
    """Whether the running kernel balances: a checker process dies at its start where it does not."""
    if os.geteuid() == 0 and not Path("/proc/net/ip_vs").exists() and (modprobe := shutil.which("modprobe")):
        subprocess.run([modprobe, "-q", "ip_vs"], capture_output=True, check=False)
    return Path("/proc/net/ip_vs").exists()


_INTERFACE_WORD = re.compile(
    r"""(?x) (?<![\w.-]) (?: interface | dev | oif | iif | default_interface | bind_if | vrf | garp_extra_if
        | lvs_sync_daemon(?:_inte(?:r)?face)? ) [ \t]+ (?: \$\{?(?P<name>\w+)\}? | (?P<word>[\w.@:+-]+) )"""
)
_INTERFACE_BLOCK = re.compile(
    r"(?:track_interface|interfaces|interface_up_down_delays|linkbeat_interfaces)\s*\{([^}]*)\}"
)
_DEFINITION = re.compile(r"^\s*\$(\w+)=\s*([\w.:-]+)\s*$", re.M)
_NET_NAMESPACE = re.compile(r"^\s*net_namespace(?:_ipvs)?[ \t]+([\w.-]+)", re.M)
_COMMENT = re.compile(r"[#!].*")
_NO_INTERFACES = frozenset({"lo", "all", "weight", "reverse"})


def interfaces_named(text: str) -> set[str]:
    """The interfaces a configuration names, found by its own words.

    Not by any parser of ours: this prepares an oracle. An interface called nosuch... is one that is not to exist.
    """
    text = _COMMENT.sub("", text)
    definitions = dict(_DEFINITION.findall(text))
    found: set[str] = set()
    for match in _INTERFACE_WORD.finditer(text):
        found.add(definitions.get(match["name"], "") if match["name"] else match["word"])
    for block in _INTERFACE_BLOCK.findall(text):
        for line in block.splitlines():
            words = line.split()
            if words and words[0].startswith("$"):
                words[0] = definitions.get(words[0].strip("${}"), "")
            found.update(words[:1])
            found.update(word for word in words[1:] if re.fullmatch(r"[a-z]+\d[\w.]*", word))
    return {name for name in found - _NO_INTERFACES if 0 < len(name) <= 15 and re.match(r"(?!nosuch)[A-Za-z_]", name)}


def net_namespaces_named(text: str) -> set[str]:
    return set(_NET_NAMESPACE.findall(_COMMENT.sub("", text)))


_INCLUDE = re.compile(r"^\s*(?:@\S+\s+)?include[rmwba]?\s+(\S+)", re.M)


def text_with_includes(path: Path, depth: int = 3) -> str:
    """The text of a file and of those it includes, one after the other."""
    texts = [path.read_text(encoding="utf-8", errors="replace")]
    for pattern in _INCLUDE.findall(texts[0]) if depth else ():
        for name in _alternatives(pattern):
            found = glob(str(path.parent / name))
            texts += [text_with_includes(Path(each), depth - 1) for each in sorted(found) if Path(each).is_file()]
    return "\n".join(texts)


def _alternatives(pattern: str) -> list[str]:
    """The patterns that a pattern with braces stands for: `{a,b}.conf` is `a.conf` and `b.conf`."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    before, behind = pattern[: match.start()], pattern[match.end() :]
    return [each for choice in match[1].split(",") for each in _alternatives(before + choice + behind)]


def jobs_of(
    confs: Sequence[Path], *, config_id: str = "lb1", options: tuple[str, ...] = (), starts: bool = True
) -> list[Job]:
    """Jobs for files that are to be compared: each finds the interfaces and namespaces that any of them names."""
    texts = [text_with_includes(conf) for conf in confs]
    interfaces = tuple(sorted(set().union(*map(interfaces_named, texts))))
    namespaces = tuple(sorted(set().union(*map(net_namespaces_named, texts))))
    return [Job(str(conf.resolve()), interfaces, namespaces, config_id, options, starts=starts) for conf in confs]


def _unshare() -> list[str]:
    rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *rootless, "-n", "-m", "-p", "-i", "-u", "--fork", "--kill-child", "--mount-proc"]


# What every run stands on: the job's folder is the only place, beside /run, that can be written to.
_PREPARE = """
folder=$1
mount --bind "$folder" "$folder"
mount -t tmpfs tmpfs /run
while read -r _ _ _ _ target _; do case $target in
  /proc*|/sys*|/dev*|/run|/run/*|"$folder") ;;
  *) mount -o remount,ro,bind "$target" ;;
esac; done < /proc/self/mountinfo
ip link set lo up
"""

# A name that no interface can have is passed over: the daemon says itself what it misses.
# Arguments: the job's folder, the configuration, its id, further options. Reads names of signals and sends them to the
# daemon; the end of its input ends this shell, and with it, the first process, everything in the namespace.
_RUN = (
    _PREPARE
    + """
conf=$2 id=$3
shift 3
hostname kactl-peer
for scope in all default; do echo 0 > /proc/sys/net/ipv6/conf/$scope/accept_dad 2>/dev/null || true; done
mkdir -p /run/netns
while read -r name; do
  ip netns add "$name"; ip -n "$name" link set lo up; ip -n "$name" -force -batch "$folder/links" || true
done < "$folder/namespaces"
ip -force -batch "$folder/links" || true
set +e
# A link-local address comes a moment after its interface is up; what a daemon finds must not depend on that.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  test $(ip -6 -o address show scope link | wc -l) -ge $(($(ip -o link show type veth | wc -l) / 2)) && break
  sleep 0.05
done
keepalived -t -f "$conf" -i "$id" "$@" > "$folder/test.out" 2>&1
echo $? > "$folder/test.rc"
test "$KACTL_STARTS" = True || exit 0
keepalived -n -l -G -D -f "$conf" -i "$id" -p "$folder/parent.pid" -r "$folder/vrrp.pid" -c "$folder/check.pid" \
  -b "$folder/bfd.pid" "$@" > "$folder/log" 2>&1 &
daemon=$!
while read -r signal; do kill -"$signal" $daemon; done
"""
)


def _link_commands(interfaces: Sequence[str]) -> str:
    """`ip -batch` lines: ends of veth pairs, whose address and MAC depend on their order alone."""
    lines = []
    for number, name in enumerate(interfaces, 1):
        high, low = divmod(number, 256)
        lines += [
            f"link add name {name} address 02:00:5e:10:{high:02x}:{low:02x} type veth"
            f" peer name kp{number} address 02:00:5e:20:{high:02x}:{low:02x}",
            f"link set dev kp{number} addrgenmode none up",
            f"link set dev {name} up",
            f"address add 198.18.{number % 256}.{1 + high}/24 dev {name}",
        ]
    return "".join(line + "\n" for line in lines)


def observe(jobs: Iterable[Job], *, at_once: int = 2) -> list[Observation]:
    """Runs the jobs, `at_once` side by side, and gives their observations in order."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(_observe, jobs))


def _observe(job: Job) -> Observation:
    """One run; again, where a process of the daemon crashes: it may have been chance."""
    for _ in range(ATTEMPTS - 1):
        seen = _observe_once(job)
        if seen.started or "died: Respawning" not in seen.log:
            return seen
    return _observe_once(job)


def _observe_once(job: Job) -> Observation:
    with tempfile.TemporaryDirectory(prefix="kactl-peer-") as name:
        folder = Path(name)
        (folder / "links").write_text(_link_commands(job.interfaces))
        (folder / "namespaces").write_text("".join(f"{n}\n" for n in job.net_namespaces))
        with subprocess.Popen(
            [*_unshare(), "sh", "-ec", _RUN, "sh", str(folder), job.conf, job.config_id, *job.options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "TMPDIR": str(folder),
                "LC_ALL": "C",
                "KACTL_STARTS": str(job.starts),
                **job.environment,
            },
        ) as process:
            try:
                dumps = _collect_dumps(process, folder)
            finally:
                process.kill()
            assert process.stderr is not None
            complaint = process.stderr.read().decode(errors="replace")
        if not (folder / "test.rc").exists():
            where = "keepalived -t did not end" if (folder / "test.out").exists() else "no namespace could be prepared"
            raise RuntimeError(f"{job.conf}: {where}: {complaint}")
        return Observation(
            test_status=int((folder / "test.rc").read_text()),
            test_messages=tuple((folder / "test.out").read_text(errors="replace").splitlines()),
            started=dumps is not None,
            dumps=dumps or {},
            log=_text(folder / "log"),
        )


_ENDED = re.compile(r"Stopped Keepalived|Terminating|exited with permanent error|to limit respawn rate")


def _collect_dumps(process: subprocess.Popen[bytes], folder: Path) -> dict[str, str] | None:
    """Asks the daemon for its dumps, again and again, until those of all its processes are there.

    None when it stops, or does not write them in time: its log then says so.
    """
    deadline = time.monotonic() + START_TIMEOUT
    asked = 0.0
    children: set[str] = set()
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return None
        log = _text(folder / "log")
        if _ENDED.search(log):
            return None
        children = {CHILDREN[name] for name in re.findall(r"Starting (\w+) child process", log)}
        ready = "Startup complete" in log or not children & {"vrrp", "check"}
        if ready and asked:
            dumps = _complete_dumps(folder)
            if {"parent", *children} <= dumps.keys():
                return dumps
        runs = bool(children) or "no configuration to run" in log
        if ready and runs and time.monotonic() - asked > 0.25:
            # A signal that comes before the parent's loop runs is lost, so it is sent until it was heard.
            asked = time.monotonic()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(b"USR1\n")
                process.stdin.flush()
        time.sleep(0.01)
    with (folder / "log").open("a") as file:
        file.write(f"dumps of {sorted(_complete_dumps(folder))} and not {sorted(children)} in {START_TIMEOUT} s\n")
    return None


_LAST_SECTION = "------< Interfaces >------"
"""The last part of a dump of the vrrp process."""


def _complete_dumps(folder: Path) -> dict[str, str]:
    dumps = {}
    for path in folder.glob("keepalived*.data"):
        process = re.match(r"keepalived_?(check|bfd|parent)?", path.name)
        assert process is not None
        name = process[1] or "vrrp"
        text = closed_text(path)
        # A process that crashes while it writes leaves a part of its dump.
        if text is not None and text.endswith("\n") and (name != "vrrp" or _LAST_SECTION in text):
            dumps[name] = text
    return dumps


def closed_text(path: Path) -> str | None:
    """The text of a file that nobody is writing to any more (a read lease is refused while somebody is); else None.

    Who opens it for writing meanwhile waits, and the kernel tells us: by SIGIO, which would end us, unless by another.
    """
    with path.open(errors="replace") as file:
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # which is ignored unless somebody wants it
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return None
        text = file.read()
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return text or None


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def main(jobs: str, results: str) -> None:
    """Reads Jobs from a JSON file, runs them and writes their Observations as JSON."""
    todo = [Job(**{**job, **{k: tuple(job[k]) for k in _TUPLES}}) for job in json.loads(Path(jobs).read_text())]
    Path(results).write_text(json.dumps([asdict(seen) for seen in observe(todo, at_once=1)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
