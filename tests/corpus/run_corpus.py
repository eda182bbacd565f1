"""Convert every keepalived.conf of a folder to YAML and back, and again: `make corpus CORPUS=dir`.

Prints a table: lossless (keepalived.conf -> YAML -> keepalived.conf -> YAML gives the same YAML), refused with a
reason, and faults: an exception, YAML or keepalived.conf of our own making that is not read back, YAML that differs.
Exit status 1 with any fault. `--index FILE` (tab-separated with columns file, stratum, quality) splits the table.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from kactl.keepalived_conf.load import load
from kactl.keepalived_conf.preprocess import ExpandOptions
from kactl.keepalived_conf.writer import write
from kactl_agent.config.bind import bind
from kactl_agent.config.diagnostics import Diagnostic, Severity
from kactl_agent.config.emit import emit

CONFIG_ID = "lb1"  # what keepalived is started with, for files with conditions


@dataclass
class Result:
    """What came of one file. `outcome` is lossless, refused or fault; `reason` says why it is not lossless."""

    name: str
    outcome: str
    reason: str = ""
    codes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    lines: int = 0


def convert(path: Path) -> Result:
    """One file there, back, and there again."""
    data = path.read_bytes()
    start = time.perf_counter()
    try:
        result = _round_trip(path, data)
    except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
        result = Result(path.name, "fault", traceback.format_exc(limit=-3).replace("\n", " | "))
    result.seconds = time.perf_counter() - start
    result.lines = data.count(b"\n")
    return result


def _round_trip(path: Path, data: bytes) -> Result:
    loaded = load(data, path.name, ExpandOptions(read_file=_no_include, working_directory=str(path.parent)))
    document = loaded.document
    codes = sorted({d.code for d in document.diagnostics})
    if document.errors:
        return Result(path.name, "refused", _said(document.errors), codes)
    yaml = emit(document)
    bound = bind(yaml, "converted.yaml")
    if bound.errors:
        return Result(path.name, "fault", f"YAML refused: {_said(bound.errors)}", codes)
    written = write(bound, _no_secret)
    errors = [d for d in written.findings if d.severity is Severity.ERROR]
    if errors:
        return Result(path.name, "fault", f"not writable: {_said(errors)}", codes)
    again = load(written.text.encode(), "regenerated.conf").document
    if again.errors:
        return Result(path.name, "fault", f"regenerated file refused: {_said(again.errors)}", codes)
    second = emit(again)
    if second != yaml:
        return Result(path.name, "fault", f"YAML differs: {_first_difference(yaml, second)}", codes)
    return Result(path.name, "lossless", codes=codes)


def _no_include(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def _no_secret(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def _said(errors: list[Diagnostic]) -> str:
    shown = [f"{d.place.line}:{d.place.column} {d.code}: {d.message}" for d in errors[:3]]
    return "; ".join(shown) + (f"; and {len(errors) - 3} more" if len(errors) > 3 else "")


def _first_difference(one: str, two: str) -> str:
    left, right = one.splitlines(), two.splitlines()
    for number, (a, b) in enumerate(zip(left, right, strict=False), 1):
        if a != b:
            return f"line {number}: {a.strip()!r} became {b.strip()!r}"
    return f"{len(left)} lines became {len(right)}"


def _strata(index: Path | None) -> dict[str, str]:
    if index is None:
        return {}
    with index.open(encoding="utf-8", newline="") as file:
        return {row["file"]: f"{row['stratum']}/{row['quality']}" for row in csv.DictReader(file, delimiter="\t")}


def _table(results: list[Result], strata: dict[str, str]) -> str:
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        kind = result.outcome
        if kind == "lossless" and result.codes:
            kind = "with findings"
        for row in (strata.get(result.name, "other"), "total") if strata else ("total",):
            rows[row].update({"files": 1, kind: 1})
    columns = ("files", "lossless", "with findings", "refused", "fault")
    lines = [f"{'':24}" + "".join(f"{c:>15}" for c in ("files", "lossless", "+ findings", "refused", "faults"))]
    for name in sorted(rows, key=lambda n: (n == "total", n)):
        lines.append(f"{name:24}" + "".join(f"{rows[name][c]:15}" for c in columns))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--index", type=Path, help="table of strata and qualities")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--keepalived", action="store_true", help="compare original and regenerated file with keepalived"
    )
    parser.add_argument(
        "--list", action="append", default=[], metavar="WORD", help="list files of this outcome or finding"
    )
    options = parser.parse_args()
    files = sorted(p for p in options.folder.rglob("*") if p.is_file())
    with ProcessPoolExecutor(options.jobs) as pool:
        results = list(pool.map(convert, files, chunksize=8))
    strata = _strata(options.index)
    for result in results:
        listed = set(options.list) & {result.outcome, *result.codes}
        if result.outcome == "fault" or listed:
            print(f"{result.outcome}: {result.name} [{strata.get(result.name, '')}] {result.reason}")
    print(_table(results, strata))
    findings = Counter(code for result in results for code in result.codes)
    print("\nfiles with: " + ", ".join(f"{code} {count}" for code, count in findings.most_common()))
    slowest = max(results, key=lambda r: r.seconds, default=None)
    if slowest is not None:
        print(f"slowest: {slowest.name}: {slowest.lines} lines, there, back and there again in {slowest.seconds:.2f} s")
    faults = sum(result.outcome == "fault" for result in results)
    if options.keepalived:
        lossless = {result.name for result in results if result.outcome == "lossless"}
        faults += _compare_meaning([path for path in files if path.name in lossless])
    return 1 if faults else 0


def _compare_meaning(files: list[Path]) -> int:
    """What the real keepalived makes of each file and of its regenerated form; returns how many differ."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from support.keepalived_peer import kernel_has_ipvs
    from support.same_meaning import Pair, compare

    options = () if kernel_has_ipvs() else ("-P",)
    differ = failed = dumped = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            second = Path(folder, "regenerated.conf")
            second.write_text(_regenerated(path), encoding="utf-8")
            try:
                (comparison,) = compare([Pair(path, second, CONFIG_ID, options)])
            except RuntimeError as error:
                failed += 1
                print(f"not compared: {path.name}: {error}")
                continue
            dumped += comparison.dumped
            if comparison.difference is not None:
                differ += 1
                print(f"differs: {path.name}\n{comparison.difference}")
    print(f"keepalived: {len(files)} files, {dumped} run and dumped, {differ} differ, {failed} not compared")
    return differ


def _regenerated(path: Path) -> str:
    document = load(path.read_bytes(), str(path), ExpandOptions(config_id=CONFIG_ID)).document
    return write(bind(emit(document), "converted.yaml"), _no_secret).text


if __name__ == "__main__":
    sys.exit(main())
