"""The section `bfd` of the status, from what the worker says."""

from __future__ import annotations

from kactl_agent.bfd.packet import State
from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType, BfdSettings
from kactl_agent.observe.bfd_state import BfdState
from kactl_agent.observe.handlers import Handlers
from kactl_agent.runtime.bfd_frames import BfdHeartbeat, BfdSessionGone, BfdSnapshot
from kactl_agent.runtime.configuration import AgentConfiguration, without_secrets
from support.bfd import MS, NS, Bench, meta, settings

SECOND_NS = 1_000_000_000
WALL = 1_767_225_600 * SECOND_NS  # 2026-01-01
SHA1 = AuthSettings(AuthType.KEYED_SHA1, (AuthKey(1, b"never-shown"),), 1)


class Observer:
    def __init__(self) -> None:
        self.handlers = Handlers()
        self.now = 0
        self.configuration = AgentConfiguration(
            revision="r",
            file="f",
            bfd=BfdSettings(sessions=(settings(), settings(name="b2", interface="eth1", authentication=SHA1))),
        )
        self.state = BfdState(self.handlers, lambda: without_secrets(self.configuration), lambda: self.now)


def test_what_is_known_of_a_session() -> None:
    observer, bench = Observer(), Bench()
    bench.come_up()
    bench.pass_time(20 * MS)
    bench.hear(diagnostic=3)
    bench.hear(at=meta(ttl=3))
    now = bench.now * NS
    observer.handlers.handle(
        BfdSnapshot(now=now, at=WALL, snapshot=bench.session.snapshot(), source=b"\xc0\0\2\1", source_port=50001)
    )
    observer.now = now + 7 * MS * NS
    seen = observer.state.section()["instances"]["b1"]
    assert (seen["state"], seen["neighbor"], seen["remote_state"]) == ("Up", "192.0.2.2", "Up")
    assert (seen["local_discriminator"], seen["remote_discriminator"]) == (0x11111111, 0x22222222)
    assert (seen["diagnostic"], seen["remote_diagnostic"]) == ("No Diagnostic", "Neighbor Signaled Session Down")
    assert (seen["transmit_interval_ms"], seen["detection_time_ms"]) == (50, 150)
    assert (seen["last_packet_age_ms"], seen["source"], seen["source_port"]) == (7.0, "192.0.2.1", 50001)
    assert seen["discarded"] == {"ttl": 1}
    assert "discarded_ttl" not in seen["statistics"]
    assert seen["since"] == "2025-12-31T23:59:59.979Z"


def test_nothing_is_made_up_and_no_key_is_shown() -> None:
    observer = Observer()
    section = observer.state.section()
    assert section["instances"]["b2"]["state"] == "Down"
    assert section["instances"]["b2"]["since"] is None
    assert section["instances"]["b2"]["authentication"] == "keyed_sha1"
    assert section["as_of"] is None
    assert "never-shown" not in str(section)


def test_gone_and_lost() -> None:
    observer, bench = Observer(), Bench()
    snapshot = BfdSnapshot(now=0, at=WALL, snapshot=bench.session.snapshot())
    beat = BfdHeartbeat(
        now=0, at=WALL, timers=5, late_max=2_500_000, late_over_10ms=1, late_over_quarter=0, dropped=0,
        discarded={"unknown_neighbor": 9},
    )  # fmt: skip
    observer.handlers.handle(snapshot)
    observer.handlers.handle(beat)
    section = observer.state.section()
    assert section["timers"]["latest_ms"] == 2.5
    assert section["discarded"] == {"unknown_neighbor": 9}
    assert section["instances"]["b1"]["local_discriminator"] == 0x11111111
    observer.handlers.handle(BfdSessionGone("b1"))
    assert observer.state.section()["instances"]["b1"]["local_discriminator"] == 0
    observer.handlers.handle(snapshot)
    observer.handlers.lost("bfd")
    section = observer.state.section()
    assert section["instances"]["b1"]["since"] is None
    assert section["timers"]["handled"] == 0
    assert State.DOWN.text == section["instances"]["b1"]["state"]
