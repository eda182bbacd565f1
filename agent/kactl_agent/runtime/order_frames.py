"""Frames about real servers that an operator orders a weight for while the agent runs."""

from __future__ import annotations

from kactl_agent.runtime.frame import Frame


class OrderServer(Frame, frozen=True):
    """Of the observer: this weight for this real server; None takes an order back."""

    serial: int
    virtual_server: str  # as the operator said it; empty: all that have the real server
    real_server: str
    weight: int | None
    reason: str = ""
    ttl: int = 0  # ns until it is taken back; 0: never


class ServerOrdered(Frame, frozen=True):
    """The answer; `error` says why there is nothing to order."""

    serial: int
    servers: tuple[str, ...] = ()
    error: str = ""
