from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.control import protocol
from kactl_agent.control.protocol import ControlError


def test_a_request() -> None:
    request = protocol.decode_request(b'{"id": 1, "method": "status", "params": {"x": 1}}')
    assert (request.id, request.method, request.params) == (1, "status", {"x": 1})
    assert protocol.decode_request(b'{"id": "a", "method": "m"}').params == {}


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"1", b"null", b"\xff\xfe", b'{"id": 1}', b'{"id": 1, "method": 7}',
        b'{"id": [], "method": "m"}', b'{"id": true, "method": "m"}',
        b'{"id": 1, "method": "m", "params": []}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_bad_requests(line: bytes) -> None:
    with pytest.raises(ControlError) as caught:
        protocol.decode_request(line)
    assert caught.value.code == protocol.BAD_REQUEST


@given(st.binary(max_size=200))
def test_any_bytes_become_a_request_or_an_error(line: bytes) -> None:
    with contextlib.suppress(ControlError):
        assert isinstance(protocol.decode_request(line).method, str)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    max_leaves=8,
)


@given(st.integers() | st.text() | st.none(), json_values)
def test_answers_are_one_line_each(identity: int | str | None, result: object) -> None:
    line = protocol.encode_result(identity, result)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


@pytest.mark.parametrize(
    "params", ['{"file": "/caf\\udce9"}', '{"x\\ud800": 1}', '{"t": [{"a": ["\\udfff"]}]}', '{"t": {"\\ud800": 1}}']
)
def test_half_surrogate_pairs_are_no_text(params: str) -> None:
    """JSON can spell them, in every place; nobody can send them on."""
    with pytest.raises(ControlError, match="holds half a surrogate pair") as caught:
        protocol.decode_request(b'{"id": 7, "method": "reload", "params": %s}' % params.encode())
    assert (caught.value.code, caught.value.data) == (protocol.BAD_PARAMS, {"id": 7})


def test_whole_surrogate_pairs_are_text() -> None:
    request = protocol.decode_request(b'{"id": 7, "method": "drain", "params": {"reason": "\\ud83d\\ude00"}}')
    assert request.params == {"reason": "\U0001f600"}
    with pytest.raises(ControlError):
        protocol.decode_request(b'{"id": "\\ud83d", "method": "ping"}')


any_text = st.text(st.characters(), max_size=5) | st.text(st.characters(categories=["Cs"]), max_size=3)
any_json = st.recursive(any_text, lambda v: st.lists(v) | st.dictionaries(any_text, v), max_leaves=8)


@given(any_text, st.dictionaries(any_text, any_json, max_size=3))
def test_a_request_that_is_taken_is_text_throughout(identity: str, params: dict[str, object]) -> None:
    line = json.dumps({"id": identity, "method": "m", "params": params}).encode()
    with contextlib.suppress(ControlError):
        request = protocol.decode_request(line)
        json.dumps([request.id, request.params], ensure_ascii=False).encode()


def test_shapes() -> None:
    error = ControlError("c", "m", {"k": 1})
    assert json.loads(protocol.encode_error(3, error)) == {
        "id": 3,
        "error": {"code": "c", "message": "m", "data": {"k": 1}},
    }
    assert json.loads(protocol.encode_event({"cursor": "x"})) == {"event": {"cursor": "x"}}


def test_every_parameter_that_is_read_is_one_that_its_method_knows() -> None:
    package = Path(protocol.__file__).parents[1]
    read: set[str] = set()
    for file in (*package.glob("control/*.py"), *package.glob("observe/*.py")):
        read |= set(re.findall(r"arameters(?:\(request\.params\))?\.(?:text|number|flag)\(\"(\w+)\"", file.read_text()))
    assert read == {name for names in protocol.METHODS.values() for name in names}
