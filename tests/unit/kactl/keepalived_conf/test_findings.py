"""What is said about a directive, and at which of its words."""

from __future__ import annotations

from support.reading import instance, read


def test_a_second_keyword_on_a_line_has_a_hint():
    # keepalived 2.2.7 takes `path /x` and says nothing about the rest
    check = "virtual_server 10.0.0.9 80 {\n protocol TCP\n real_server 10.0.0.1 80 {\n HTTP_GET {\n"
    reading = read(check + "url { path /x status_code 200 }\n}\n}\n}\n")
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.hint) == ("extra-words", "`status_code` needs a line of its own")


def test_deprecated_spellings_are_converted():
    reading = read("global_defs {\n lvs_flush_onstop\n}\n")
    assert reading.document.config.global_defs.lvs_flush_on_stop is True
    (finding,) = reading.document.diagnostics
    assert (finding.code, finding.effect.value, finding.severity.value) == ("deprecated-keyword", "converted", "note")
    assert "`lvs_flush_on_stop`" in finding.message


def test_a_name_in_braces_that_is_not_defined_is_the_reason_for_a_block():
    for line, column in ((" priority ${PRIO}", 11), (" virtual_ipaddress {\n  ${PRIO}/24\n }", 3)):
        (finding,) = instance(line).document.errors
        assert (finding.code, finding.place.column) == ("unexpected-block", column)
        assert finding.message.startswith("`${PRIO}` is not defined")
        assert finding.hint.endswith("--define PRIO=VALUE")
