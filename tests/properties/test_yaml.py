"""What emit writes, bind reads: the same model, the same comments, and the same text again."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kactl_agent.config.bind import bind
from kactl_agent.config.document import Document, Origin
from kactl_agent.config.emit import emit
from kactl_agent.config.load import load_bytes
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.track import VrrpScript
from kactl_agent.config.yaml_scalars import quote
from support.comments import comments, documents
from support.schema_strategies import configs

ANY_TEXT = st.text(max_size=30) | st.text(st.sampled_from("yno0127.:-+e#{}[], '\"\\|>&*!%@`~?=<\t\n\x85\u2028\ufeff"))


@given(documents(configs(most=6)))
@settings(max_examples=150)
def test_what_is_emitted_is_bound_again(document: Document) -> None:
    text = emit(document)
    again = bind(text, "agent.yaml")
    assert not again.errors
    assert {d.code for d in again.diagnostics} <= {"deprecated-keyword"}
    assert again.config == document.config
    assert list(comments(again.origin)) == list(comments(document.origin))
    assert emit(again) == text


def read(text: str, *, whole: bool) -> Document:
    """Without what a secret would be read from."""
    return load_bytes(text.encode(errors="surrogatepass"), "agent.yaml", secrets=False, whole=whole)


@given(documents(configs(most=6)))
@settings(max_examples=150)
def test_what_is_read_without_its_places_is_the_same_and_has_them_when_they_are_wanted(document: Document) -> None:
    text = emit(document)
    plain, whole = read(text, whole=False), read(text, whole=True)
    assert plain.config == whole.config == document.config
    assert plain.diagnostics == whole.diagnostics
    assert emit(Document(plain.config, plain.complete())) == text


@given(ANY_TEXT, st.booleans())
def test_a_quoted_text_is_the_same_text_to_every_reader(text: str, flow: bool) -> None:
    """PyYAML's own loader, a reader of YAML 1.1, takes each for the text that it is."""
    written = quote(text, flow=flow)
    node = f"[{written}, {{{written}: {written}}}]" if flow else f"- {written}\n- {written}: {written}\n"
    loaded = yaml.load(node, Loader=yaml.CSafeLoader)
    assert loaded == [text, {text: text}]


@given(st.dictionaries(ANY_TEXT.filter(bool), ANY_TEXT.filter(bool), min_size=1, max_size=3))
def test_any_text_survives_as_name_and_as_value(scripts: dict[str, str]) -> None:
    config = Config(vrrp_script={name: VrrpScript(script=text, x_keepalived=(text,)) for name, text in scripts.items()})
    text = emit(Document(config, Origin()))
    again = bind(text, "agent.yaml")
    assert not again.diagnostics
    assert again.config == config
    assert emit(again) == text


@given(st.text(st.sampled_from("abc:-[]{}#&*!|>'\"%@`,? \n\t\x00~<=.01\r\u2028") | st.characters(), max_size=60))
@settings(max_examples=300)
def test_no_text_raises(text: str) -> None:
    document = bind(text, "agent.yaml")
    assert document.diagnostics or text.strip()


SNIPPETS = st.sampled_from(
    [
        "vrrp_script:",
        "  a:",
        "    script: x",
        "  - b",
        "# c",
        "&a",
        "*a",
        "<<: *a",
        "{",
        "}",
        "[",
        "]",
        "global_defs:",
        "  router_id: 12:30",
        "virtual_server:",
        "  - address: ::1",
        "!!str",
        "---",
        "...",
        "null",
        "include: x",
        "x-a: &a",
    ]
)


@given(st.lists(SNIPPETS, max_size=12), st.sampled_from(["\n", " ", "\r\n"]))
@settings(max_examples=300)
def test_no_jumble_of_yaml_raises(parts: list[str], between: str) -> None:
    text = between.join(parts)
    document = bind(text, "agent.yaml")
    assert read(text, whole=False).diagnostics == read(text, whole=True).diagnostics
    if not document.errors:
        again = bind(emit(document), "again.yaml")
        assert not again.errors
        assert again.config == document.config


LINES = """vrrp_script:
  a:
    script: x
    weight: {weight: 3,
      reverse: true
      }
static_ipaddress:
- 192.0.2.1
-   address: 192.0.2.2
    dev: eth0
-
  address: 192.0.2.3
-   {address: 192.0.2.4,
     dev: eth1}
global_defs:
    router_id: "a # b"
    startup_script: {command: x, user: y}
virtual_server:
  - address: 192.0.2.1
    port: 80
    real_server: [
      {address: 192.0.2.1},
      {address: 192.0.2.9,
       HTTP_GET: {url: [{path: x}]}}
      ]
  - fwmark: 1
    real_server:
    - address: 192.0.2.9
      TCP_CHECK:
        retry: 1
      SSL_GET:
        - url:
          - path: /""".splitlines()
PLACES = st.tuples(st.booleans(), st.sampled_from((None, None, None, 0, 1, 2, 4, 5, 6, 8, 20)))


@given(st.tuples(*[PLACES] * len(LINES)))
@settings(max_examples=300)
def test_no_comment_is_lost(places: tuple[tuple[bool, int | None], ...]) -> None:
    """Wherever people write them: the same comments come out, and stay as they are from then on."""
    parts, written = [], []
    for number, (line, (behind, alone)) in enumerate(zip(LINES, places, strict=True)):
        if alone is not None:
            parts.append(f"{' ' * alone}# alone {number}")
            written.append(f"alone {number}")
        if behind:
            written.append(f"behind {number}")
        parts.append(f"{line} # behind {number}" if behind else line)
    document = bind("\n".join(parts), "agent.yaml")
    assert not document.errors
    text = emit(document)
    again = bind(text, "again.yaml")
    assert emit(again) == text
    found = sorted(word for _, *said in comments(again.origin) for word in flat(said))
    assert found == sorted(written)


def flat(said: object) -> list[str]:
    if isinstance(said, str):
        return [said]
    return [word for part in said for word in flat(part)] if isinstance(said, list) else []
