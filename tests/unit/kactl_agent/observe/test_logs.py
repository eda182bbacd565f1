from __future__ import annotations

import io
import json

import pytest

from kactl_agent.observe.logs import LogFormat, LogSettings, LogWriter, open_log
from kactl_agent.runtime.frames import LogRecord

RECORD = LogRecord(1_767_225_600_000_000_000, "warning", "vrrp", "VI_1: hello", {"code": "x y", "n": 3})


def lines(form: LogFormat, record: LogRecord = RECORD, level: str = "info", detail: bool = False) -> str:
    stream = io.StringIO()
    LogWriter(form, level, detail, stream).write(record)
    return stream.getvalue()


def test_text() -> None:
    assert lines(LogFormat.TEXT) == "2026-01-01T00:00:00.000Z warning vrrp: VI_1: hello\n"
    assert lines(LogFormat.TEXT, detail=True).endswith('VI_1: hello code="x y" n=3\n')


def test_journal_has_the_priority_of_sd_daemon() -> None:
    assert lines(LogFormat.JOURNAL) == "<4>vrrp: VI_1: hello\n"


def test_json_is_one_object_a_line() -> None:
    text = lines(LogFormat.JSON, LogRecord(0, "info", "vrrp", "two\nlines\0", {"code": "c"}))
    assert text.count("\n") == 1
    assert json.loads(text) == {
        "time": "1970-01-01T00:00:00.000Z", "level": "info", "process": "vrrp", "message": "two\nlines\0", "code": "c",
    }  # fmt: skip


@pytest.mark.parametrize("form", [LogFormat.TEXT, LogFormat.JOURNAL])
def test_nothing_forges_a_second_line(form: LogFormat) -> None:
    text = lines(form, LogRecord(0, "info", "vrrp", "a\n<0>b\x1b[31m\x85", {"k": "v\nw"}), detail=True)
    assert text.count("\n") == 1
    assert text.splitlines() == [text[:-1]]
    assert "\x1b" not in text


def test_levels() -> None:
    assert lines(LogFormat.TEXT, level="error") == ""
    assert lines(LogFormat.TEXT, level="warning") != ""


def test_details_are_lines_when_they_are_wanted_and_information_then() -> None:
    detail = LogRecord(0, "detail", "vrrp", "small things")
    assert lines(LogFormat.TEXT, detail) == ""
    assert lines(LogFormat.TEXT, detail, detail=True) == "1970-01-01T00:00:00.000Z info    vrrp: small things\n"
    assert lines(LogFormat.TEXT, detail, level="warning", detail=True) == ""
    assert lines(LogFormat.JOURNAL, detail, detail=True) == "<6>vrrp: small things\n"
    assert json.loads(lines(LogFormat.JSON, detail, detail=True))["level"] == "info"


def test_standard_error_may_be_left_out() -> None:
    settings = LogSettings(form=LogFormat.TEXT, level="info", detail=False, stderr=False)
    stream = io.StringIO()
    open_log(settings, sink=stream).write(RECORD)
    assert stream.getvalue() == ""
    open_log(settings.with_detail(True), sink=stream).write(RECORD)
    assert stream.getvalue() == ""
