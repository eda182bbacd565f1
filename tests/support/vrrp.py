"""Building blocks for tests of the VRRP engine: settings, a peer that writes adverts, a router at one end of a LAN."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, TypeVar

from kactl_agent.vrrp.actions import (
    Action,
    ClockOffset,
    InterfaceState,
    PacketMeta,
    SendAdvert,
    Startup,
    State,
    Transition,
)
from kactl_agent.vrrp.auth_header import PROTOCOL_AH, ipv4_header
from kactl_agent.vrrp.instance import VrrpInstance
from kactl_agent.vrrp.packet import IPV4_GROUP, IPV6_GROUP, Advert, encode
from kactl_agent.vrrp.settings import ChecksumForm, Family, VirtualAddress, VrrpSettings

T = TypeVar("T", bound=Action)
UNIX_TIME = 1_700_000_000_000_000_000  # what the wall clock says when `now` is 0


def packed(text: str) -> bytes:
    return ip_address(text).packed


LOCAL, PEER, PEER_LOW = packed("192.0.2.5"), packed("192.0.2.9"), packed("192.0.2.2")
VIP = VirtualAddress(packed("192.0.2.100"), 24, "eth0")
LOCAL6, PEER6 = packed("fe80::5"), packed("fe80::9")
VIP6 = VirtualAddress(packed("fe80::100"), 64, "eth0")
HARDWARE = bytes.fromhex("02000000000a")


def make_settings(**changes: Any) -> VrrpSettings:
    """An instance VI on eth0, VRID 51, VRRPv3, priority 100, 1 s, one address of its family."""
    family = changes.setdefault("family", Family.IPV4)
    defaults: dict[str, Any] = {
        "name": "VI",
        "interface": "eth0",
        "virtual_router_id": 51,
        "version": 3,
        "priority": 100,
        "addresses": (VIP if family is Family.IPV4 else VIP6,),
    }
    return VrrpSettings(**(defaults | changes))


def interface(address: bytes | None = LOCAL, *, up: bool = True, exists: bool = True) -> InterfaceState:
    return InterfaceState(up=up, exists=exists, primary_address=address or b"", hardware_address=HARDWARE, mtu=1500)


def advert(
    priority: int,
    source: bytes = PEER,
    *,
    settings: VrrpSettings | None = None,
    destination: bytes | None = None,
    ttl: int = 255,
    form: ChecksumForm = ChecksumForm.PSEUDO_HEADER,
    **fields: Any,
) -> tuple[bytes, PacketMeta]:
    """What a peer that is configured like `settings` sends, with `fields` of the advert changed."""
    settings = settings or make_settings()
    destination = destination or (IPV4_GROUP if settings.family is Family.IPV4 else IPV6_GROUP)
    values: dict[str, Any] = {
        "version": settings.version,
        "virtual_router_id": settings.virtual_router_id,
        "priority": priority,
        "advert_interval": settings.advert_interval,
        "addresses": tuple(a.address for a in settings.addresses if a.advertised),
        "auth_type": 1 if settings.auth_password else 0,
        "auth_data": settings.auth_password.ljust(8, b"\0"),
    }
    data = encode(Advert(**(values | fields)), source, destination, form)
    return data, PacketMeta(source=source, destination=destination, ttl=ttl, interface=settings.interface)


def on_the_wire(action: SendAdvert, destination: bytes | None = None) -> tuple[bytes, PacketMeta]:
    """What `destination` receives of an advert that an engine sends: the part of the driver and the kernel."""
    destination = destination or action.destinations[0]
    header = b""
    if action.protocol == PROTOCOL_AH:
        arguments = (len(action.payload), action.identification, action.ttl, action.source, destination)
        header = ipv4_header(*arguments)
    meta = PacketMeta(
        source=action.source,
        destination=destination,
        ttl=action.ttl,
        interface="eth0",
        protocol=action.protocol,
        header=header,
    )
    return action.payload, meta


def started(now: int = 0, address: bytes | None = None, **changes: Any) -> VrrpInstance:
    """An instance after its interface was found up and it was started."""
    settings = make_settings(**changes)
    instance = VrrpInstance(settings)
    address = address or (LOCAL if settings.family is Family.IPV4 else LOCAL6)
    instance.handle_event(interface(address), now)
    if settings.auth_hmac:
        instance.handle_event(ClockOffset(UNIX_TIME), now)
    instance.handle_event(Startup(), now)
    return instance


def master(**changes: Any) -> tuple[VrrpInstance, int]:
    """An instance that has just become MASTER, and when."""
    instance = started(**changes)
    now = 0
    if instance.state is not State.MASTER:
        now = due(instance)
        instance.handle_timer(now)
    assert instance.state is State.MASTER
    return instance, now


def due(instance: VrrpInstance) -> int:
    """The deadline, which there must be."""
    deadline = instance.deadline()
    assert deadline is not None
    return deadline


def of(kind: type[T], actions: list[Action]) -> list[T]:
    return [action for action in actions if isinstance(action, kind)]


def transition(actions: list[Action]) -> Transition:
    """The one transition among the actions."""
    (found,) = of(Transition, actions)
    return found


def sent(actions: list[Action]) -> list[int]:
    """The priorities of the adverts sent."""
    return [action.priority for action in of(SendAdvert, actions)]
