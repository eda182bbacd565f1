"""What the bfd worker says, taken into the status."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from kactl_agent.bfd.packet import State, diagnostic_text
from kactl_agent.bfd.settings import SessionSettings
from kactl_agent.observe.handlers import Handlers
from kactl_agent.observe.wall_clock import timestamp
from kactl_agent.runtime.bfd_frames import BfdHeartbeat, BfdSessionGone, BfdSnapshot
from kactl_agent.runtime.configuration import AgentConfiguration

_MILLISECOND = 1_000  # us


class BfdState:
    """The newest of every session: the section `bfd` of the status. `configuration` gives the one in force."""

    def __init__(
        self, handlers: Handlers, configuration: Callable[[], AgentConfiguration], monotonic: Callable[[], int]
    ) -> None:
        self._configuration = configuration
        self._monotonic = monotonic
        self._snapshots: dict[str, BfdSnapshot] = {}
        self._since: dict[str, tuple[int, int]] = {}  # engine's monotonic ns -> wall ns when it was first heard of
        self._heartbeat: BfdHeartbeat | None = None
        handlers.on(BfdSnapshot, self._take)
        handlers.on(BfdSessionGone, self._gone)
        handlers.on(BfdHeartbeat, self._beat)
        handlers.on_loss("bfd", self._lost)

    def _take(self, frame: BfdSnapshot) -> None:
        name, since = frame.snapshot.name, frame.snapshot.since
        self._snapshots[name] = frame
        if self._since.get(name, (None, 0))[0] != since:
            self._since[name] = (since, frame.at - (frame.now - since))

    def _gone(self, frame: BfdSessionGone) -> None:
        self._snapshots.pop(frame.session, None)
        self._since.pop(frame.session, None)

    def _beat(self, frame: BfdHeartbeat) -> None:
        self._heartbeat = frame

    def _lost(self) -> None:
        """The worker has ended: what it said last is no longer so."""
        self._snapshots.clear()
        self._since.clear()
        self._heartbeat = None

    def section(self) -> dict[str, Any]:
        beat = self._heartbeat
        return {
            "instances": {each.name: self._session(each) for each in self._configuration().bfd.sessions},
            "timers": {
                "handled": beat.timers if beat else 0,
                "latest_ms": round(beat.late_max / 1e6, 3) if beat else 0.0,
                "later_than_10ms": beat.late_over_10ms if beat else 0,
                "later_than_quarter_of_detection_time": beat.late_over_quarter if beat else 0,
            },
            "discarded": dict(beat.discarded) if beat else {},
            "as_of": timestamp(beat.at) if beat else None,
        }

    def _session(self, settings: SessionSettings) -> dict[str, Any]:
        known = self._snapshots.get(settings.name)
        common = {
            "neighbor": str(ip_address(settings.neighbor)),
            "interface": settings.interface or None,
            "mode": settings.mode.value,
            "authentication": settings.authentication.type.name.lower() if settings.authentication else None,
            "passive": settings.passive,
            "padded_pdu_size": settings.padded_pdu_size or None,
            "tells": [who for who, told in _clients(settings) if told],
        }
        if known is None:
            # the worker is being started or restarted: nothing is known, and nothing is made up
            return {
                "state": State.DOWN.text, "since": None, **common, "local_discriminator": 0, "remote_discriminator": 0,
                "cause": "", "detail": "", "problem": None, "statistics": {},
            }  # fmt: skip
        seen = known.snapshot
        age = (self._monotonic() - seen.last_received) / 1e6 if seen.last_received else None
        return {
            "state": seen.state.text,
            "since": timestamp(self._since[settings.name][1]),
            **common,
            "local_discriminator": seen.local_discriminator,
            "remote_discriminator": seen.remote_discriminator,
            "up": seen.up,
            "remote_state": seen.remote_state.text,
            "diagnostic": diagnostic_text(seen.diagnostic),
            "remote_diagnostic": diagnostic_text(seen.remote_diagnostic),
            "source": str(ip_address(known.source)) if known.source else None,
            "source_port": known.source_port or None,
            "desired_min_tx_ms": seen.desired_min_tx_interval / _MILLISECOND,
            "required_min_rx_ms": seen.required_min_rx_interval / _MILLISECOND,
            "detect_mult": settings.detect_mult,
            "remote_desired_min_tx_ms": seen.remote_desired_min_tx_interval / _MILLISECOND,
            "remote_required_min_rx_ms": seen.remote_min_rx_interval / _MILLISECOND,
            "remote_detect_mult": seen.remote_detect_mult,
            "transmit_interval_ms": seen.transmit_interval / _MILLISECOND,
            "detection_time_ms": seen.detection_time / _MILLISECOND,
            "polling": seen.polling,
            "last_packet_age_ms": None if age is None else round(age, 1),
            "cause": seen.cause,
            "detail": seen.detail,
            "problem": known.problem or None,
            "statistics": _counters(seen.statistics),
            "discarded": _discards(seen.statistics),
            "as_of": timestamp(known.at),
        }


_DISCARDED = "discarded_"


def _counters(statistics: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in statistics.items() if not name.startswith(_DISCARDED)}


def _discards(statistics: dict[str, int]) -> dict[str, int]:
    """Packets that were discarded, by reason."""
    return {n.removeprefix(_DISCARDED): count for n, count in statistics.items() if n.startswith(_DISCARDED)}


def _clients(settings: SessionSettings) -> tuple[tuple[str, bool], ...]:
    return ("vrrp", settings.tell_vrrp), ("checker", settings.tell_checkers)
