"""Command lines: keepalived's rules (its own splits are held against the real one in the tests of keepalived.conf)."""

from __future__ import annotations

import pytest

from kactl_agent.config.command_line import UnclosedQuote, split, split_command


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("/x/n.sh extra 'two words'", ["/x/n.sh", "extra", "two words"]),
        ('/bin/echo "a\'b" c"d e"f \'\'', ["/bin/echo", "a'b", "cd ef", ""]),
        (r"/bin/echo a\ b \x41\102 \cA", ["/bin/echo", "a b", "AB", "\x01"]),
        ("", []),
    ],
)
def test_arguments(text: str, arguments: list[str]) -> None:
    assert split_command(text) == arguments


def test_an_open_quote_says_where() -> None:
    with pytest.raises(UnclosedQuote) as caught:
        split("/bin/x 'abc")
    assert (caught.value.quote, caught.value.index) == ("'", 7)
