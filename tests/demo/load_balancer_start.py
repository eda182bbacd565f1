"""Runs the load-balancing demo where there is IPVS: here, or in User Mode Linux."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import keepalived_peer, uml

PROGRAM = Path(__file__).with_name("load_balancer.py")


def main() -> int:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [tool for tool in ("nginx", "curl", "ip") if shutil.which(tool, path=path) is None]
    if missing:
        print(
            f"demo: not installed: {', '.join(missing)} (Debian and Ubuntu: nginx-light, curl, iproute2)",
            file=sys.stderr,
        )
        return 1
    if os.geteuid() == 0 and keepalived_peer.kernel_has_ipvs():
        return subprocess.run([sys.executable, str(PROGRAM)], check=False, env={**os.environ, "PATH": path}).returncode
    if reason := uml.why_not():
        print(f"demo: this kernel has no IPVS (or you are not root), and no User Mode Linux: {reason}", file=sys.stderr)
        return 1
    print("this kernel has no IPVS: the demo runs in User Mode Linux, and is shown when it has ended", flush=True)
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = uml.run([sys.executable, str(PROGRAM)], timeout=280, environment=environment)
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
