"""Entry point of the kactl command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run kactl with the process's arguments, and exit with its code."""
    from kactl.app import run

    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit; there is nobody to read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or 1
    sys.exit(code)


if __name__ == "__main__":
    main()
