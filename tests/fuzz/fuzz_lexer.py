"""Fuzz target: arbitrary bytes through the keepalived.conf lexer and preprocessor (`python tests/fuzz/fuzz_lexer.py`).

Needs atheris to run; importing the module does not.
"""

from __future__ import annotations

import contextlib
import importlib
import stat
import sys

from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import ExpandOptions, Limits, expand
from kactl.keepalived_conf.quoting import QuoteError, split_quoted

LIMITS = Limits(lines=5000, characters=1_000_000, line_length=8000)


def one_input(data: bytes) -> None:
    """The bytes behind the first blank line are the file that every include finds."""
    main, _, included = data.partition(b"\n\n")
    source = parse_source(data, "fuzz.conf")
    assert source.render() == data
    options = ExpandOptions(
        config_id="id",
        environment={"NAME": "value"},
        read_file=lambda path: included,
        glob=lambda pattern: [pattern],
        file_mode=lambda path: stat.S_IFREG | 0o644,
        working_directory="/",
        limits=LIMITS,
    )
    expansion = expand(parse_source(main, "main.conf"), options)
    for directive in expansion.directives:
        with contextlib.suppress(QuoteError):
            split_quoted(directive.raw)


def main() -> None:
    atheris = importlib.import_module("atheris")
    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
