"""Looks every 100 ms on how many containers an address is, until a file appears: how long there were none, and several."""

import json
import os
import subprocess
import sys
import time


def main():
    engine, address, stop, *containers = sys.argv[1:]
    if os.path.exists(stop):
        os.unlink(stop)
    pids = {}
    for name in containers:
        asked = [engine, "inspect", "--format", "{{.State.Pid}}", name]
        pids[name] = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    samples, longest, since, before = 0, {"none": 0.0, "several": 0.0}, None, "one"
    while not os.path.exists(stop):
        found = 0
        for pid in pids.values():
            shown = subprocess.run(
                ["nsenter", "--target", pid, "--net", "ip", "-o", "address", "show", "to", address],
                capture_output=True,
                text=True,
                check=False,
            )
            found += address in shown.stdout
        now = time.monotonic()
        kind = "one" if found == 1 else "none" if found == 0 else "several"
        if kind != before:
            since = now
        if kind != "one" and since is not None:
            longest[kind] = max(longest[kind], now - since)
        before = kind
        samples += 1
        time.sleep(0.1)
    os.unlink(stop)
    shown = {"samples": samples}
    shown.update(("longest_%s_ms" % kind, round(seconds * 1000)) for kind, seconds in longest.items())
    print(json.dumps(shown))


if __name__ == "__main__":
    main()
