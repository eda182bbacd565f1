"""Dumps of the state: what each kind holds, and files that are written without making anybody wait."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures.thread import ThreadPoolExecutor  # now: nobody may not read the library later

from kactl_agent.control.protocol import BAD_PARAMS, DUMP_FAILED, NOT_READY, ControlError, Parameters
from kactl_agent.control.server import Answer, Method
from kactl_agent.observe.dumps import render_json, render_text
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.keepalived_data import render_parent, render_section, render_vrrp
from kactl_agent.observe.keepalived_dumps import render_json as render_keepalived_json
from kactl_agent.observe.keepalived_dumps import render_statistics
from kactl_agent.observe.state import AgentState
from kactl_agent.runtime.dump_frames import ClearStatistics, DumpFinished, DumpRequest, DumpWritten, WriteDump
from kactl_agent.runtime.frame import Frame

SIGNALS = ("data", "stats", "stats_clear", "json")
"""What a client may have written to files, as the signals do."""
_MOST_REQUESTS = 16
_THREADS = 4  # as many disks may hang


class Dumping:
    """`post` sends a frame to the supervisor; False when that is not possible any more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, state: AgentState, post: Callable[[Frame], bool]) -> None:
        self._loop = loop
        self._state = state
        self._post = post
        self._requests: dict[int, Answer] = {}
        self._threads = ThreadPoolExecutor(_THREADS)
        self._serial = 0
        self._kinds: dict[str, Callable[[], str]] = {
            "state.json": lambda: render_json(state.status()),
            "state.txt": lambda: render_text(state.status()),
            "vrrp": lambda: render_vrrp(state.view()),
            "check": lambda: render_section("LVS Topology", state.status()["ipvs"]),
            "bfd": lambda: render_section("BFD Topology", state.status()["bfd"]),
            "parent": lambda: render_parent(state.view()),
            "stats": lambda: render_statistics(state.view()),
            "json": lambda: render_keepalived_json(state.view()),
        }

    def offer(self, handlers: Handlers, methods: dict[str, Method]) -> None:
        """Put what is done about frames, and the control method, into the tables."""
        handlers.on(ClearStatistics, lambda _frame: self._state.clear_statistics())
        handlers.on(DumpFinished, self._finished)
        methods["dump"] = self._dump

    # -- files that the supervisor has opened --------------------------------------------------------------------------

    def write(self, frame: WriteDump, descriptors: Sequence[int]) -> None:
        """A disk that hangs, hangs a thread alone. The descriptors are closed."""
        try:
            texts = [self._kinds[kind]() for kind in frame.kinds]
        except BaseException:  # the log has it, but whoever waits for the files must not wait for ever
            for descriptor in descriptors:
                os.close(descriptor)
            self._post(DumpWritten(frame.serial, "the observer failed to render it: see its log"))
            raise
        done = self._loop.run_in_executor(self._threads, _write_all, tuple(zip(texts, descriptors, strict=True)))
        done.add_done_callback(lambda written: self._post(DumpWritten(frame.serial, written.result())))

    # -- the control method --------------------------------------------------------------------------------------------

    def _dump(self, parameters: Parameters, answer: Answer) -> None:
        what, to_files = parameters.text("what", "data"), parameters.flag("files")
        if to_files:
            self._to_files(what, answer)
            return
        kind = {"data": "vrrp", "state": "state.json"}.get(what, what)
        if kind not in self._kinds:
            known = ", ".join(sorted({"data", "state", *self._kinds} - {"vrrp", "state.json", "state.txt"}))
            raise ControlError(BAD_PARAMS, f"there is no dump `{what}`: {known}")
        answer({"what": what, "text": self._kinds[kind]()})

    def _to_files(self, what: str, answer: Answer) -> None:
        if what not in SIGNALS:
            raise ControlError(BAD_PARAMS, f"`{what}` has no files: {', '.join(SIGNALS)}")
        if len(self._requests) >= _MOST_REQUESTS:
            raise ControlError(NOT_READY, f"{_MOST_REQUESTS} dumps are waiting already")
        self._serial += 1
        if not self._post(DumpRequest(self._serial, what)):
            raise ControlError(NOT_READY, "the agent is stopping")
        self._requests[self._serial] = answer

    def _finished(self, frame: DumpFinished) -> None:
        """The supervisor has done what a client asked for."""
        answer = self._requests.pop(frame.serial, None)
        if answer is not None:
            answer(ControlError(DUMP_FAILED, frame.error) if frame.error else {"files": list(frame.files)})


def _write_all(parts: Sequence[tuple[str, int]]) -> str:
    """What went wrong, empty when nothing did."""
    errors = []
    for text, descriptor in parts:
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError as error:
            errors.append(error.strerror or str(error))
    return "; ".join(dict.fromkeys(errors))
