"""Entry point of the kactl command."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run kactl with the process's arguments, and exit with its code."""
    from kactl.app import run

    if isinstance(sys.stdout, io.TextIOWrapper):
        # YAML and JSON are UTF-8 whatever the locale; file names may be any bytes
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as fault:
        if not isinstance(fault, BrokenPipeError):
            sys.stderr.write(f"kactl: standard output: {fault.strerror}\n")
        # Python flushes once more at exit; nothing takes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or 1
    sys.exit(code)


if __name__ == "__main__":
    main()
