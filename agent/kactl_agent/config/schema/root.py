"""The whole configuration."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET

from kactl_agent.config.schema.keyword import BlockKeywords, Keyword
from kactl_agent.config.schema.shapes import Maybe, Named
from kactl_agent.config.schema.track import VrrpScript


class Config(BlockKeywords, frozen=True, kw_only=True):
    """Everything that stands outside of any block."""

    vrrp_script: Annotated[
        Maybe[dict[str, VrrpScript]],
        Keyword(Named(VrrpScript), "Commands that instances and groups track", process="vrrp"),
    ] = UNSET
