"""Coverage-guided fuzzing of the YAML loader: `python tests/fuzz/fuzz_yaml.py -max_total_time=60` (needs atheris).

Whatever the bytes are, loading gives a document with diagnostics and never raises; what is bound without an error is
written as YAML that is bound to the same.
"""

from __future__ import annotations

import sys


def one_input(data: bytes) -> None:
    """Load one text, and go round once where it is a configuration."""
    from kactl_agent.config.bind import bind
    from kactl_agent.config.diagnostics import render_text
    from kactl_agent.config.emit import emit
    from kactl_agent.config.load import load_bytes

    def missing(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", path)

    document = load_bytes(data, "fuzz.yaml", read_file=missing, glob=lambda _pattern: [], environ={}, secrets=False)
    for diagnostic in document.diagnostics:
        render_text(diagnostic, document.sources)
    if not document.errors:
        text = emit(document)
        again = bind(text, "again.yaml")
        assert not again.errors, again.errors
        assert again.config == document.config
        assert emit(again) == text


SEEDS = (
    b"vrrp_script:\n  a: {script: x, interval: 0.5, weight: -2}\n",
    b"# c\nvrrp_instance:\n  A: # d\n    interface: a\n    virtual_ipaddress:\n      - {address: ::1, dev: x}\n",
    b"x-a: &a {script: x}\nvrrp_script: {a: *a, b: {<<: *a, rise: 3}}\n",
    b'global_defs:\n  x-keepalived:\n    - |-\n      a {\n      }\n  router_id: "a b"\n',
    b"virtual_server:\n- address: '::1'\n  port: 80\n  real_server: [{address: ::2, TCP_CHECK: {}}]\n",
)


def main() -> None:
    """Run atheris, from the seeds when no corpus directory is named."""
    import tempfile
    from pathlib import Path

    import atheris

    with atheris.instrument_imports(include=["kactl_agent.config"]):
        import kactl_agent.config.load  # noqa: F401 - instrumented by being imported here
    arguments = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        if all(argument.startswith("-") for argument in arguments[1:]):
            for number, seed in enumerate(SEEDS):
                Path(folder, str(number)).write_bytes(seed)
            arguments = [*arguments, folder]
        atheris.Setup(arguments, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
