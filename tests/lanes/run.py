"""Runs test lanes one after the other and says what ran, what failed, and what this machine cannot run and why.

    python tests/lanes/run.py --quick|--full LANE...

Exit status: 0 when nothing failed, 1 when something did, 2 for usage.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SUMMARY = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|deselected)")


@dataclass
class Outcome:
    lane: str
    status: str  # passed, failed, not run
    detail: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def command(lane: str, arguments: list[str], *, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run one command of a lane, show what it prints, and return its status and its output."""
    print(f"--- {lane}: {' '.join(arguments)}", flush=True)
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line)
    return process.wait(), "".join(lines)


def pytest_lane(lane: str, full: bool, paths: list[str], *extra: str, prefix: list[str] | None = None) -> Outcome:
    present = [p for p in paths if any((ROOT / p).rglob("test_*.py"))]
    if not present:
        return Outcome(lane, "not run", "no test of this lane exists yet")
    env = {"KACTL_FULL": "1"} if full else {"KACTL_FULL": ""}
    arguments = [*(prefix or []), str(BIN / "python"), "-m", "pytest", "-q", *extra, *present]
    started = time.monotonic()
    status, output = command(lane, arguments, env=env)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    closing = [line for line in output.splitlines() if SUMMARY.search(line) and " in " in line]
    for number, word in SUMMARY.findall(closing[-1]) if closing else ():
        key = "failed" if word.startswith("error") else word
        if key in counts:
            counts[key] += int(number)
    reasons = sorted(set(re.findall(r"^SKIPPED \[\d+\] [^ ]+ (.*)$", output, re.M)))
    if status == 5:
        return Outcome(lane, "not run", "no test selected", time.monotonic() - started)
    word = "passed" if status == 0 else "failed"
    if status == 0 and not counts["passed"] and counts["skipped"]:
        word = "not run"
    detail = "; ".join(reasons)
    return Outcome(
        lane, word, detail, time.monotonic() - started, counts["passed"], counts["failed"], counts["skipped"]
    )


SIDE_BY_SIDE = ("-n", "3", "--dist", "loadfile")
"""Tests that wait more than they compute. Those of one file may share something, and stay in order."""


def lint(full: bool) -> Outcome:
    started = time.monotonic()
    failed = []
    sources = ["agent", "cli", "tests"]
    for name, arguments in (
        ("ruff check", [str(BIN / "ruff"), "check", *sources]),
        ("ruff format", [str(BIN / "ruff"), "format", "--check", "--quiet", *sources]),
        ("mypy --strict", [str(BIN / "mypy")]),
        ("import-linter", [str(BIN / "lint-imports"), "--no-cache"]),
        ("ratchets", [str(BIN / "python"), "tests/lanes/ratchets.py"]),
    ):
        status, _ = command("lint", arguments)
        if status:
            failed.append(name)
    return Outcome(
        "lint",
        "failed" if failed else "passed",
        ", ".join(failed),
        time.monotonic() - started,
        5 - len(failed),
        len(failed),
    )


def privileged(lane: str, full: bool) -> Outcome:
    """Lanes that make network namespaces: as root, else in a user namespace where the kernel allows one."""
    prefix = namespace_prefix()
    if prefix is None:
        return Outcome(lane, "not run", "needs root, or a kernel that allows user namespaces")
    return pytest_lane(lane, full, [f"tests/{lane}"], *SIDE_BY_SIDE, prefix=prefix)


def bench(full: bool) -> Outcome:
    """What needs namespaces skips itself where there can be none, the fleet where there is no Ansible."""
    fleet_tools()
    return pytest_lane("bench", full, ["tests/benchmarks"], "-n0", "-s", prefix=namespace_prefix())


def namespace_prefix() -> list[str] | None:
    """What a command has to stand behind to make network namespaces; None where that is not possible."""
    if os.geteuid() == 0:
        return []
    prefix = ["unshare", "-Urnm"]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        return None
    return prefix


def kernel(full: bool) -> Outcome:
    return pytest_lane("kernel", full, ["tests/kernel"], "-n", "2", "--dist", "loadfile")


def docs(full: bool) -> Outcome:
    started = time.monotonic()
    if not (BIN / "mkdocs").exists():
        status, _ = command(
            "docs",
            [str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", ".[docs]"],
        )
        if status:
            return Outcome("docs", "not run", "mkdocs cannot be installed here")
    status, _ = command("docs", [str(BIN / "mkdocs"), "build", "--strict", "--quiet"])
    return Outcome(
        "docs", "failed" if status else "passed", "", time.monotonic() - started, 1 - bool(status), int(bool(status))
    )


def fuzz(full: bool) -> Outcome:
    started = time.monotonic()
    seconds = os.environ.get("SECONDS_PER_TARGET", "60")
    if subprocess.run([str(BIN / "python"), "-c", "import atheris"], capture_output=True).returncode:
        status, _ = command(
            "fuzz",
            [str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", ".[fuzz]"],
        )
        if status:
            return Outcome("fuzz", "not run", "atheris cannot be installed here")
    failed = []
    targets = sorted((ROOT / "tests/fuzz").glob("fuzz_*.py"))
    for target in targets:
        status, _ = command(
            "fuzz", [str(BIN / "python"), str(target), f"-max_total_time={seconds}", "-rss_limit_mb=4096"]
        )
        if status:
            failed.append(target.stem)
    word = "failed" if failed else "passed"
    return Outcome("fuzz", word, ", ".join(failed), time.monotonic() - started, len(targets) - len(failed), len(failed))


FLEET = Path(os.environ.get("KACTL_FLEET_BIN", ROOT / ".venv-fleet" / "bin"))
SCENARIOS = ("default", "ha_pair", "load_balancer", "migrate", "rolling_upgrade", "bad_change", "rhel9")


def fleet_tools() -> str:
    """Ansible and Molecule in their own environment; why they are not there, or an empty string."""
    if (FLEET / "ansible-playbook").exists() and FLEET.parent != ROOT / ".venv-fleet":
        return ""
    status, _ = command("fleet", ["tests/lanes/setup-fleet", sys.executable, str(FLEET.parent)])
    return "Ansible cannot be installed here" if status else ""


def ansible(full: bool) -> Outcome:
    """The collection: its tests, the production profile of ansible-lint, and in full ansible-test and the importer."""
    started = time.monotonic()
    if reason := fleet_tools():
        return Outcome("ansible", "not run", reason)
    outcome = pytest_lane("ansible", full, ["tests/ansible"], "-n0")
    failed = ["pytest"] if outcome.status == "failed" else []
    passed = outcome.passed
    for name in ("lint", "sanity", "build") if full else ("lint",):
        status, _ = command("ansible", ["tests/lanes/check-collection", name, str(FLEET)])
        failed += [name] if status else []
        passed += not status
    word = "failed" if failed else "passed"
    detail = ", ".join(failed) or outcome.detail
    seconds = time.monotonic() - started
    return Outcome("ansible", word, detail, seconds, passed, outcome.failed + len(failed), outcome.skipped)


def molecule(full: bool) -> Outcome:
    """Scenarios in containers; the role on one node alone in the quick run."""
    started = time.monotonic()
    if reason := fleet_tools():
        return Outcome("molecule", "not run", reason)
    scenarios = SCENARIOS if full else SCENARIOS[:1]
    status, output = command("molecule", ["tests/lanes/setup-containers", *scenarios])
    if status:
        reason = next((line for line in output.splitlines() if "no containers" in line), "no containers")
        return Outcome("molecule", "not run", reason.removeprefix("setup: "))
    bins = {"KACTL_BIN": str(BIN), "KACTL_FLEET_BIN": str(FLEET)}
    failed = [each for each in scenarios if command("molecule", ["tests/lanes/molecule", each], env=bins)[0]]
    word = "failed" if failed else "passed"
    passed, seconds = len(scenarios) - len(failed), time.monotonic() - started
    return Outcome("molecule", word, ", ".join(failed), seconds, passed, len(failed))


LANES: dict[str, Callable[[bool], Outcome]] = {
    "lint": lint,
    "unit": lambda full: pytest_lane("unit", full, ["tests/unit"], "-n", "auto"),
    "properties": lambda full: pytest_lane("properties", full, ["tests/properties"], "-n", "auto"),
    "conformance": lambda full: pytest_lane("conformance", full, ["tests/conformance"]),
    "simulation": lambda full: pytest_lane("simulation", full, ["tests/simulation"], "-n", "auto"),
    "golden": lambda full: pytest_lane("golden", full, ["tests/golden"], "-n", "auto"),
    "netns": lambda full: privileged("netns", full),
    "interop": lambda full: privileged("interop", full),
    "kernel": kernel,
    "ansible": ansible,
    "molecule": molecule,
    "docs": docs,
    "bench": bench,
    "fuzz": fuzz,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Run test lanes.")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--quick", action="store_true", help="one scenario for each mechanism in the slow lanes")
    how.add_argument("--full", action="store_true", help="the full matrices")
    parser.add_argument("lanes", nargs="+", choices=sorted(LANES), metavar="LANE")
    arguments = parser.parse_args()
    outcomes = [LANES[lane](arguments.full) for lane in arguments.lanes]
    print("\nlane          outcome   passed  failed  skipped  seconds  why not, or what failed")
    for o in outcomes:
        print(f"{o.lane:<13} {o.status:<9} {o.passed:>6}  {o.failed:>6}  {o.skipped:>7}  {o.seconds:>7.1f}  {o.detail}")
    failed = [o.lane for o in outcomes if o.status == "failed"]
    passed, broken, skipped = (sum(getattr(o, name) for o in outcomes) for name in ("passed", "failed", "skipped"))
    print(f"\n{passed} passed, {broken} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
