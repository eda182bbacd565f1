"""Whether two keepalived configurations mean the same to keepalived itself.

Both files are run (support.keepalived_peer) with the same interfaces; what is compared is what the real binary says:
exit status and messages of `keepalived -t`, and the state dumps of all its processes, without what belongs to the run
rather than to the configuration (states, timers, descriptors, results).

The second file may be the cleaner one: it stands for a rewrite of the first. A message of the first that the second
does not give (a deprecated spelling, a number that was cut) is no difference; one that only the second gives is.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import unified_diff
from pathlib import Path

from support import keepalived_peer, uml
from support.keepalived_peer import Job, Observation

TESTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Pair:
    """Two configurations to compare. Options are those of the daemon: ("-P",) leaves the checker process out."""

    first: Path
    second: Path
    config_id: str = "lb1"
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """What keepalived makes of the second file and not of the first."""

    test_status: tuple[int, int] | None  # of -t, where the second's is worse
    new_messages: tuple[str, ...]  # of -t, only with the second
    dumps: dict[str, str]  # process -> unified diff of its dumps
    started: tuple[bool, bool]

    def __str__(self) -> str:
        parts = []
        if self.test_status:
            parts.append(f"keepalived -t exits {self.test_status[0]} and {self.test_status[1]}")
        if self.started[0] != self.started[1]:
            parts.append(f"started: {self.started[0]} and {self.started[1]}")
        parts += [f"only the second: {message}" for message in self.new_messages]
        parts += [f"{process}:\n{diff}" for process, diff in self.dumps.items()]
        return "\n".join(parts)


@dataclass(frozen=True)
class Comparison:
    """The outcome for a pair. `dumped`: the daemon started on both, so that its dumps were compared at all."""

    difference: Difference | None
    dumped: bool
    first: Observation
    second: Observation


def same_meaning(
    first: Path, second: Path, *, config_id: str = "lb1", options: Sequence[str] = ()
) -> Difference | None:
    """The difference between two configurations, None when they mean the same."""
    return compare([Pair(first, second, config_id, tuple(options))])[0].difference


def compare(pairs: Iterable[Pair], *, inside_uml: bool = False, timeout: float = 600) -> list[Comparison]:
    """Compares many pairs in one go, in the running kernel or in one boot of a User Mode Linux."""
    todo = list(pairs)
    jobs = [job for pair in todo for job in _jobs(pair)]
    seen = _observe_in_uml(jobs, timeout) if inside_uml else keepalived_peer.observe(jobs)
    return [_compare(a, b) for a, b in zip(seen[::2], seen[1::2], strict=True)]


def _jobs(pair: Pair) -> list[Job]:
    return keepalived_peer.jobs_of([pair.first, pair.second], config_id=pair.config_id, options=pair.options)


def _observe_in_uml(jobs: list[Job], timeout: float) -> list[Observation]:
    with tempfile.TemporaryDirectory(prefix="kactl-uml-jobs-") as name:
        todo, done = Path(name) / "jobs", Path(name) / "observations"
        todo.write_text(json.dumps([asdict(job) for job in jobs]))
        program = [sys.executable, "-I", keepalived_peer.__file__, str(todo), str(done)]
        ended = uml.run(program, timeout=timeout)
        if ended.returncode:
            raise RuntimeError(f"the guest's run failed: {ended.stderr[-2000:]}")
        return [
            Observation(**{**seen, "test_messages": tuple(seen["test_messages"])})
            for seen in json.loads(done.read_text())
        ]


def _compare(first: Observation, second: Observation) -> Comparison:
    new = Counter(_messages(second)) - Counter(_messages(first))
    messages = tuple(sorted(new))
    worse = (first.test_status, second.test_status) if second.test_status > first.test_status else None
    dumps = {}
    if first.started and second.started:
        for process in sorted(first.dumps.keys() | second.dumps.keys()):
            texts = [configuration_of(seen.dumps.get(process, "")) for seen in (first, second)]
            if texts[0] != texts[1]:
                dumps[process] = "\n".join(unified_diff(texts[0], texts[1], "first", "second", n=2, lineterm=""))
    started = (first.started, second.started)
    same = not (worse or messages or dumps or started[0] != started[1])
    difference = None if same else Difference(worse, messages, dumps, started)
    return Comparison(difference, all(started), first, second)


_PLACE = re.compile(r"^\((?:[^()]*: )?Line \d+\) ")


def _messages(seen: Observation) -> set[str]:
    """Messages of -t without places; a set, since every process repeats those of the lexer."""
    return {_PLACE.sub("", line) for line in seen.test_messages}


_OF_THE_RUN = re.compile(
    r"""(?x) \s* (?:
      (?: State | Wantstate | Master | rp_filter | Last \s transition | Read \s timeout
        | Effective \s priority | Total \s priority | Result | Status | Init \s state | index
        | Seen \s up | Delayed \s state | Current | Has \s run | Up | alive | effective \s weight
        | previous \s effective_weight | quorum_state_up | num \s failed \s checkers | Number \s of | Reset | Original
        | Num \s member | Rx \s buf | RS \s set | reloaded | Retries \s iterations
        | Not \s IPv6 \s forwarding | thread_\w+ | local \s discriminator ) \b .*
      | fd_in .*
      | Tracked \s file \s = .*  # of a FILE_CHECK: 2.2.7 prints memory that it has freed
    ) \Z"""
)
_STATE_BEHIND = re.compile(
    r"(?<=[^ ]), (?:INIT|BACKUP|MASTER|FAULT)\Z| \[?(?:installed|set)\b.*|\bfd(?:_in|_out)?[ =(]+-?\d+(?:,-?\d+)?\)?"
)


def configuration_of(dump: str) -> list[str]:
    """The lines of a dump that tell the configuration, in their order; that of a server's checkers has no meaning."""
    lines = [_STATE_BEHIND.sub("", line) for line in dump.splitlines() if not _OF_THE_RUN.match(line)]
    if _CHECKERS not in lines:
        return lines
    start = lines.index(_CHECKERS) + 1
    end = next((n for n in range(start, len(lines)) if lines[n].startswith("------<")), len(lines))
    checkers: list[list[str]] = []
    for line in lines[start:end]:
        if not checkers or not line.startswith("  "):
            checkers.append([])
        checkers[-1].append(line)
    return [*lines[:start], *(line for checker in sorted(checkers) for line in checker), *lines[end:]]


_CHECKERS = "------< Health checkers >------"
