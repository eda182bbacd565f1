"""kactl-agent: arguments, then the supervisor."""

from __future__ import annotations

import sys

_QUESTIONS = frozenset({"-h", "--help", "--check", "--print-capabilities"})
"""Options with which nothing is going to run."""


def main() -> int:
    """The console script. Returns the exit code."""
    if sys.argv[1:] == ["--version"]:  # monitoring asks often: nothing is imported for it
        from kactl_agent import __version__

        sys.stdout.write(f"kactl-agent {__version__}\n")
        return 0
    launched = None
    if _QUESTIONS.isdisjoint(sys.argv):
        from kactl_agent.observe.log_sink import open_standard_descriptors
        from kactl_agent.runtime.spawner import launch

        open_standard_descriptors()
        launched = launch()  # while this process is small: not even the options have been read
    from kactl_agent.supervisor.options import parse

    options = parse(sys.argv[1:])
    if options.check:
        from kactl_agent.supervisor.loading import check

        return check(options)
    if options.print_capabilities:
        from kactl_agent.supervisor.grants import print_capabilities

        return print_capabilities(options)
    assert launched is not None, "none of the options is a question"
    from kactl_agent.supervisor.main import run
    from kactl_agent.supervisor.spawning import SpawnerProcess

    process = SpawnerProcess(*launched)
    try:
        return run(options, process)
    finally:
        process.end()


if __name__ == "__main__":
    sys.exit(main())
