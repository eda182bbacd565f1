"""What became of every directive."""

from __future__ import annotations

import pytest

from kactl.keepalived_conf.account import Account, Outcome
from kactl.keepalived_conf.lexer import parse_source
from kactl.keepalived_conf.preprocess import expand
from kactl.keepalived_conf.reader import read_directives
from kactl.keepalived_conf.tree import Directive, Word


def test_every_statement_is_accounted_for():
    text = "vrrp_script s {\n script x\n interval 1\n interval 2 3\n weight 999\n}\nfoo {\n bar\n}\nvrrp_instance V\n"
    expansion = expand(parse_source(text.encode(), "f"))
    reading = read_directives(expansion.directives, [], {})
    counts = reading.account.counts(expansion.directives)
    assert counts == {Outcome.CONVERTED: 2, Outcome.REPAIRED: 2, Outcome.CARRIED: 3, Outcome.REFUSED: 1}


def test_the_account_fails_loudly():
    account = Account()
    one = Directive([Word("a", 1)], "a", "f", 1)
    with pytest.raises(RuntimeError, match="not accounted for"):
        account.verify([one])
    account.mark(one)
    account.verify([one])
    with pytest.raises(RuntimeError, match="twice"):
        account.mark(one)
