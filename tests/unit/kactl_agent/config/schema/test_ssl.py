"""SSL."""

from __future__ import annotations

import pytest

from kactl_agent.config.schema.ssl import Ssl
from support.keyword_lines import fault, same


@pytest.mark.parametrize("keyword", ["ca", "certificate", "key", "password"])
def test_words(keyword: str) -> None:
    same(Ssl, keyword, "/etc/kactl/x.pem", "/etc/kactl/x.pem")


def test_the_passphrase_is_in_no_message() -> None:
    assert fault(Ssl, "password", '""').message == "an empty passphrase"
