"""Entry point of the kactl command."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run kactl with the process's arguments, and exit with its code."""
    try:
        code = _run()
    except KeyboardInterrupt:  # so early, or so late, that no command was there to say so
        code = 130
        _discard(sys.stdout)
    sys.exit(code)


def genhash() -> None:
    """Entry point of the command `genhash`, as keepalived installs it: `kactl genhash` by its old name."""
    sys.argv.insert(1, "genhash")
    main()


def _run() -> int:
    _replace_closed_streams()
    from kactl.app import run

    if isinstance(sys.stdout, io.TextIOWrapper):
        # YAML and JSON are UTF-8 whatever the locale; file names may be any bytes
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as fault:
        if not (code or isinstance(fault, BrokenPipeError)):
            from kactl.environment import Environment

            Environment().say(f"kactl: standard output: {fault.strerror}")
        _discard(sys.stdout)
        code = code or 1
    try:
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    return code


def _discard(stream: io.TextIOBase | object) -> None:
    """Python flushes once more at exit: let that lead nowhere."""
    assert isinstance(stream, io.TextIOWrapper)
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _replace_closed_streams() -> None:
    """A standard stream may be closed from the beginning (`>&-`); Python has None for it then.

    Reading and writing data fails then as it does for any command; talk is lost.
    """
    for descriptor, name, flags in ((0, "stdin", os.O_WRONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r"))


if __name__ == "__main__":
    main()
