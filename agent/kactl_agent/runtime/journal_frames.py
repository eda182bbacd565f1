"""What any process has to say to the journal: one shape for everything that happens.

See `kactl_agent.observe.journal`, which takes them.
"""

from __future__ import annotations

import msgspec

from kactl_agent.runtime.frame import Frame

Fact = str | int | bool | None


class Happening(Frame, frozen=True, kw_only=True):
    """Something that changed, or should have. Posted as an event: dropped, and counted, when nobody keeps up.

    `kind` is what happened, in one word of the field: real_server, virtual_server, bfd_session, stall, drain, ...
    `subject` is what it happened to, as the configuration calls it: "vrrp_instance VI_1", "bfd_instance b1",
    "real_server 10.0.0.1:80 of 192.0.2.10:80/TCP". `because` names subjects whose events, shortly before, may be the
    reason: the chain of `kactl why` is followed through them. `facts` are the inputs at that moment, few and small.
    """

    at: int  # wall-clock ns
    kind: str
    subject: str
    old: str = ""
    new: str = ""
    cause: str = ""  # stable code
    detail: str = ""  # one sentence for an operator
    because: tuple[str, ...] = ()
    facts: dict[str, Fact] = msgspec.field(default_factory=dict)
