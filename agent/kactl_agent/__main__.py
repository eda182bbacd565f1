"""kactl-agent: arguments, then the supervisor."""

from __future__ import annotations

import sys


def main() -> int:
    """The console script. Returns the exit code."""
    if sys.argv[1:] == ["--version"]:  # monitoring asks often: nothing is imported for it
        from kactl_agent import __version__

        sys.stdout.write(f"kactl-agent {__version__}\n")
        return 0
    from kactl_agent.supervisor.options import parse

    options = parse(sys.argv[1:])
    if options.check:
        from kactl_agent.supervisor.loading import check

        return check(options)
    if options.print_capabilities:
        from kactl_agent.supervisor.grants import print_capabilities

        return print_capabilities(options)
    from kactl_agent.observe.log_sink import open_standard_descriptors
    from kactl_agent.runtime.spawner import launch

    open_standard_descriptors()

    pid, control = launch(options.namespace)  # while this process is small
    from kactl_agent.supervisor.main import run
    from kactl_agent.supervisor.spawning import SpawnerProcess

    process = SpawnerProcess(pid, control)
    try:
        return run(options, process)
    finally:
        process.end()


if __name__ == "__main__":
    sys.exit(main())
