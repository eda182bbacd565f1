"""Commands inside a User Mode Linux kernel: IPVS, dummy, macvlan and vrf devices where the running kernel lacks them.

Debian's user-mode-linux brings the kernel (`linux.uml`) and its modules; no privilege is needed. The guest's root is
this machine's file system (hostfs), so what a command writes is here when it ends; /run and /proc are the guest's own.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

MODULES = Path("/usr/lib/uml/modules")
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "sed", "nq", "fo", "ovf", "twos")
LOADED = (
    *("ipv6", "dummy", "macvlan", "ipvlan", "veth", "vrf", "bridge", "nfnetlink", "nf_tables", "xt_mark", "ip_vs"),
    *("mpls_router", "mpls_iptunnel", "ila"),
    *(f"ip_vs_{scheduler}" for scheduler in SCHEDULERS),
    *("nf_conntrack", "nf_conntrack_sip", "ip_vs_pe_sip"),
)
"""Modules loaded before the command; those the kernel does not have are passed over."""

_INIT = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run; mkdir -p /run/netns
for module in {modules}; do modprobe -d {folder}/root $module; done >{folder}/modules.log 2>&1
ip link set lo up
cd {cwd}
{command} >{folder}/out 2>{folder}/err </dev/null
echo $? >{folder}/status
sync
halt -f
"""


@cache
def why_not() -> str | None:
    """Why no User Mode Linux can be started here; None when it can."""
    missing = [c for c in ("linux.uml", "modprobe", "depmod") if shutil.which(c, path=_path()) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (packages user-mode-linux, kmod)"
    return None if any(MODULES.glob("*")) else f"no modules under {MODULES}"


def run(
    command: Sequence[str], *, memory: str = "512M", timeout: float = 300, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs one command as the guest's root; gives exit status and output. Raises TimeoutError when it does not end."""
    with tempfile.TemporaryDirectory(prefix="kactl-uml-", dir="/var/tmp") as name:
        folder = Path(name)
        _lay_modules(folder / "root")
        words = ["env", *(f"{k}={v}" for k, v in (environment or {}).items()), *command]
        init = folder / "init"
        init.write_text(
            _INIT.format(
                modules=" ".join(LOADED), folder=folder, cwd=shlex.quote(str(Path.cwd())), command=shlex.join(words)
            )
        )
        init.chmod(0o755)
        kernel = ["linux.uml", f"mem={memory}", "rootfstype=hostfs", "rootflags=/", "rw", f"init={init}"]
        with subprocess.Popen(
            ["taskset", "--cpu-list", _processor(), *kernel, "con=null", "con0=null", "quiet"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PATH": _path(), "TMPDIR": "/dev/shm" if os.access("/dev/shm", os.W_OK) else name},
        ) as guest:
            try:
                said, _ = guest.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as late:
                raise TimeoutError(f"no answer from the guest in {timeout} s") from late
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(guest.pid, signal.SIGKILL)  # the guest's processes are processes of ours
        if not (folder / "status").exists():
            raise RuntimeError(f"the guest ended without an answer: {said[-500:]}")
        return subprocess.CompletedProcess(
            command, int((folder / "status").read_text()), (folder / "out").read_text(), (folder / "err").read_text()
        )


def _processor() -> str:
    """The one that the guest runs on, which has but one itself. Each of its processes is one of ours, and each of its
    system calls and page faults goes from one to another: on another processor that takes twice the time, or not, as
    the scheduler likes. Guests that run side by side have one each."""
    allowed = sorted(os.sched_getaffinity(0))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    return str(allowed[int(worker or -1) % len(allowed)])


def _lay_modules(root: Path) -> None:
    """modprobe's files for the guest: links to its modules, with the dependency lists that Debian's package lacks."""
    version = next(MODULES.iterdir()).name
    library = root / "lib" / "modules"
    library.mkdir(parents=True)
    shutil.copytree(MODULES / version, library / version, copy_function=os.symlink)
    subprocess.run(["depmod", "-b", str(root), version], check=True, env={**os.environ, "PATH": _path()})


def _path() -> str:
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
