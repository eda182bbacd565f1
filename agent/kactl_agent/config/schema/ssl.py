"""SSL: what SSL_GET checkers show and trust when they connect."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BlockKeywords, Keyword
from kactl_agent.config.schema.shapes import Maybe, SecretSource, Text


class Ssl(BlockKeywords, frozen=True, kw_only=True):
    """SSL: TLS material shared by all SSL_GET checkers. Without the block they connect without a client certificate."""

    password: Annotated[
        Maybe[str | SecretSource],
        Keyword(
            Text("passphrase", secret=True),
            "Passphrase of the private key",
            default="none: the key is not encrypted",
            process="checker",
        ),
    ] = UNSET
    ca: Annotated[
        Maybe[str],
        Keyword(
            Text("file"),
            "File of CA certificates (PEM) loaded into the TLS context. Server certificates are not verified against it",
            default="none",
            process="checker",
        ),
    ] = UNSET
    certificate: Annotated[
        Maybe[str],
        Keyword(
            Text("file"),
            "Client certificate (PEM) shown to servers that ask for one",
            default="none",
            process="checker",
        ),
    ] = UNSET
    key: Annotated[
        Maybe[str],
        Keyword(Text("file"), "Private key (PEM) of the client certificate", default="none", process="checker"),
    ] = UNSET
