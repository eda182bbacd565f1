"""The agent as it is, but for IPVS, which is that of the checkers worker's own memory: `python -m
support.balancing_agent`, options as of kactl-agent."""

from __future__ import annotations

import sys

from kactl_agent.__main__ import main
from kactl_agent.kernel.fake_ipvs import FakeIpvs
from kactl_agent.runtime import privileges
from kactl_agent.runtime.configuration import AgentConfiguration
from kactl_agent.runtime.ipc import Edge
from kactl_agent.runtime.loop import on_terminate, worker_loop
from kactl_agent.supervisor.worker_kinds import WORKERS
from kactl_agent.workers.checkers import CheckersWorker, CheckersWorkerStart
from kactl_agent.workers.checkers import start as start

# -- what the supervisor looks for in the module of a worker -----------------------------------------------------------


def run(start: CheckersWorkerStart, supervisor: Edge, observer: Edge) -> int:
    privileges.keep_only(start.capabilities)
    with worker_loop() as loop:
        worker = CheckersWorker(loop, start, supervisor, observer, lambda _namespace: FakeIpvs())
        on_terminate(loop, worker.stop)
        loop.call_soon(worker.begin)
        loop.run_forever()
        worker.close()
    return 0


def reclaim_at_end(_configurations: list[AgentConfiguration]) -> int:
    """The table has gone with its worker."""
    return 0


def reclaim_replaced(_configurations: list[AgentConfiguration], _current: AgentConfiguration) -> int:
    return 0


if __name__ == "__main__":
    WORKERS["checkers"] = WORKERS["checkers"]._replace(module="support.balancing_agent")
    sys.exit(main())
