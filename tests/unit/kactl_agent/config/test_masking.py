"""What covers secrets in excerpts: never shown where they stand, and nothing hidden that only looks like them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.config.masking import mask_sources


def masked(text: str) -> str:
    return mask_sources({"a": text})["a"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("    auth_pass: s3cret", "    auth_pass: ******"),
        ("    auth_pass: s3cret  # rotated in May", "    auth_pass: ******  # rotated in May"),
        ("    auth_pass: s3c,r}et", "    auth_pass: ********"),
        ("    auth_pass: 's3 # cret'  # c", "    auth_pass: ***********  # c"),
        ('    auth_pass: !!str "s3 # cret" # c', "    auth_pass: ***************** # c"),
        ("    auth_pass s3cret # c", "    auth_pass **********"),
        ('    auth_pass "s3 cret"', "    auth_pass *********"),
        ("authentication { auth_pass a,b }", "authentication { auth_pass *****"),
        ('  {"auth_pass": "s3cret", "virtual_router_id": 300}', '  {"auth_pass": ********, "virtual_router_id": 300}'),
        ("A: {auth_pass: s3cret, priority: 300}", "A: {auth_pass: ******, priority: 300}"),
        ("A: {auth_pass: s3cret, key: k3y, priority: 3}", "A: {auth_pass: ******, key: ***, priority: 3}"),
        ("auth_hmac {key 1 s3cret", "auth_hmac {key ********"),
        (r'x-keepalived: ["authentication {\n  auth_pass s3cret\n}"]', None),
        (r'x-keepalived: ["authentication {\nauth_pass s3cret\n}"]', None),
        ("    auth_type: PASS", "    auth_type: PASS"),
        ("    my_auth_pass: x", "    my_auth_pass: x"),
        ("    auth_pass", "    auth_pass"),
    ],
)
def test_what_stands_behind_the_keyword_of_a_secret(line: str, shown: str | None) -> None:
    covered = masked(line)
    assert len(covered) == len(line)
    if shown is None:
        assert "s3cret" not in covered
    else:
        assert covered == shown


def test_a_secret_hides_nothing_where_its_text_stands_by_chance() -> None:
    text = "vrrp_instance vrrp {\n virtual_router_id 42\n priority 142\n authentication {\n  auth_pass 42\n }\n}\n"
    assert masked(text) == text.replace("auth_pass 42", "auth_pass **")


@pytest.mark.parametrize(
    "text",
    [
        "auth_pass:\n  s3cret\nnext: shown\n",
        "auth_pass: >-\n  s3cret\n\n  s3cret: s3cret\nnext: shown\n",
        "auth_pass: |\n  # s3cret\nnext: shown\n",
        'auth_pass: "one\n  s3cret"\nnext: shown\n',
        "auth_pass: 'one\n s3cret'\nnext: shown\n",
        "auth_pass: one\n  s3cret\nnext: shown\n",
        "key:\n  - s3cret\nnext: shown\n",
        "- auth_pass: &p\n    s3cret\n- next: shown\n",
    ],
)
def test_a_yaml_value_on_lines_of_its_own(text: str) -> None:
    covered = masked(text)
    assert "s3cret" not in covered
    assert "next: shown" in covered


def test_entries_below_the_keyword_are_shown_without_their_secrets() -> None:
    text = "key:\n  # the second is next\n  - id: 300\n    key: s3cret\n  - {id: 2, key: s3cret, x: 1}\n"
    assert masked(text) == text.replace("s3cret", "******")


@pytest.mark.parametrize(
    "text",
    [
        "$PW=s3cret\n$N=42\n auth_pass $PW\n id $N\n",
        "$A=s3cret\n$PW=$A\n$N=42\n auth_pass ${PW}\n id $N\n",
        "$PW=s3\\\n  s3cret\n$N=42\n auth_pass $PW\n id $N\n",
        "$N=42\n~LST($PW, s3cret, s3cret) auth_pass $PW\n id $N\n",
        "$N=42\n~LST($PW, s3cret) $AUTH\n$AUTH=auth_type PASS \\\n  auth_pass $PW\n id $N\n",
        "x: &pw s3cret\nauth_pass: *pw\n$N=42\n",
        "x: &pw >\n  s3cret\nauth_pass: *pw\n$N=42\n",
    ],
)
def test_where_a_text_is_defined_that_becomes_a_secret(text: str) -> None:
    covered = masked(text)
    assert "s3cret" not in covered
    assert "$N=42" in covered


def test_a_definition_in_one_file_for_another() -> None:
    covered = mask_sources({"a": "$PW=s3cret\ninclude b\n", "b": "auth_pass $PW\n"})
    assert "s3cret" not in covered["a"]


@given(
    st.text(alphabet="aw \t\n\r\\\"'{}[],:#&*$~()|>-=", max_size=60), st.sampled_from(["auth_pass", "$PW=", "key:", ""])
)
def test_lines_and_columns_stay(text: str, keyword: str) -> None:
    whole = f"{text}{keyword}{text}\nauth_pass $PW\n"
    covered = masked(whole)
    assert [len(line) for line in covered.split("\n")] == [len(line) for line in whole.split("\n")]
    assert all(new in (old, "*") for old, new in zip(whole, covered, strict=True))
