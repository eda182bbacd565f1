"""The methods `why`, `drain` and `undrain` of the control socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kactl_agent.control.protocol import BAD_PARAMS, UNKNOWN_SUBJECT, ControlError, Parameters
from kactl_agent.control.server import Answer, Method
from kactl_agent.observe.drain_desk import DrainDesk
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.journal import Journal
from kactl_agent.observe.state import AgentState
from kactl_agent.observe.why import UnknownSubject, explain
from kactl_agent.runtime.drain_frames import ALL
from kactl_agent.runtime.frame import Frame
from kactl_agent.runtime.journal_frames import Happening

_LONGEST_TTL = 10 * 365 * 86_400  # seconds


class Explaining:
    """What the observer makes of the journal and of drain orders."""

    def __init__(self, handlers: Handlers, journal: Journal, state: AgentState, post: Callable[[Frame], bool]) -> None:
        self._journal = journal
        self._state = state
        self._desk = DrainDesk(handlers, post)
        handlers.on(Happening, journal.take)
        state.drained = self._drained

    def offer(self, methods: dict[str, Method]) -> None:
        """Put the methods into the table."""
        methods["why"] = self._why
        methods["drain"] = self._drain
        methods["undrain"] = self._undrain

    def _why(self, parameters: Parameters, answer: Answer) -> None:
        """`subject` is the name of an instance, a group or any subject of the journal, "" all that are configured;
        `event` is the cursor of the one event to explain."""
        configuration = self._state.configuration
        groups = {group.name: group.members for group in configuration.sync_groups}
        subjects = [f"vrrp_instance {each.name}" for each in configuration.vrrp]
        subjects += [f"vrrp_sync_group {name}" for name in groups]
        subject, cursor = parameters.text("subject"), parameters.text("event")
        try:
            answer(explain(self._journal.newest(), groups, subjects, subject, cursor))
        except UnknownSubject as error:
            raise ControlError(UNKNOWN_SUBJECT, str(error)) from None

    def _drain(self, parameters: Parameters, answer: Answer) -> None:
        """`target` and `all` say what, `ttl_s` for how long (0: until it is undrained)."""
        ttl = parameters.number("ttl_s", 0, 1, _LONGEST_TTL)
        self._desk.request(
            answer,
            target=_target(parameters),
            reason=parameters.text("reason"),
            ttl=ttl * 1_000_000_000 if ttl else None,
            require_peer=parameters.flag("require_peer"),
        )

    def _undrain(self, parameters: Parameters, answer: Answer) -> None:
        self._desk.request(answer, target=_target(parameters), undrain=True)

    def _drained(self, name: str) -> dict[str, Any] | None:
        configuration = self._state.configuration
        return self._desk.drained(name, list(configuration.vrrp), list(configuration.sync_groups))


def _target(parameters: Parameters) -> str:
    target, everything = parameters.text("target"), parameters.flag("all")
    if everything is bool(target):
        raise ControlError(BAD_PARAMS, "either target, the name of an instance or a sync group, or all")
    return ALL if everything else target
