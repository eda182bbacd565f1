"""Which server an operator means."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from kactl_agent.ipvs.finding import NotFound, find_real_server, find_virtual_server
from kactl_agent.ipvs.model import AF_INET, AF_INET6
from kactl_agent.ipvs.settings import Members, RealServerSettings, VirtualServerSettings


def packed(text: str) -> bytes:
    return ip_address(text).packed


REALS = (
    RealServerSettings(packed("10.0.0.1"), 80, snmp_name="first"),
    RealServerSettings(packed("10.0.0.2"), 80),
    RealServerSettings(packed("10.0.0.2"), 81),
    RealServerSettings(packed("2001:db8::1"), 80),
)
WEB = VirtualServerSettings(
    name="[192.0.2.1]:tcp:80",
    protocol=6,
    snmp_name="web",
    members=(Members(AF_INET, 6, packed("192.0.2.1"), 1, 80),),
    real_servers=REALS,
)
QUIC = VirtualServerSettings(
    name="[192.0.2.1]:udp:80", protocol=17, members=(Members(AF_INET, 17, packed("192.0.2.1"), 1, 80),)
)
SIX = VirtualServerSettings(
    name="[2001:db8::9]:tcp:443", protocol=6, members=(Members(AF_INET6, 6, packed("2001:db8::9"), 1, 443),)
)
MARK = VirtualServerSettings(name="FWM 7", members=(Members(AF_INET, fwmark=7),))
GROUP = VirtualServerSettings(name="[pool]:0", group="pool", protocol=6, members=SIX.members)
ALL = (WEB, QUIC, SIX, MARK, GROUP)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("[192.0.2.1]:tcp:80", WEB),
        ("192.0.2.1:80/tcp", WEB),
        ("192.0.2.1:80/udp", QUIC),
        ("web", WEB),
        ("[2001:db8::9]:443", SIX),
        ("2001:db8::9", SIX),
        ("FWM 7", MARK),
        ("fwmark 7", MARK),
        ("pool", GROUP),
        ("[pool]:0", GROUP),
    ],
)
def test_virtual_servers(text: str, server: VirtualServerSettings) -> None:
    assert find_virtual_server(ALL, text) is server


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.1:80", "more than one virtual server is `192.0.2.1:80`; there are: [192.0.2.1]:tcp:80, "),
        ("192.0.2.9", "there is no virtual server `192.0.2.9`; there are: "),
    ],
)
def test_none_or_more_than_one(text: str, said: str) -> None:
    with pytest.raises(NotFound) as caught:
        find_virtual_server(ALL, text)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("10.0.0.1:80", 0),
        ("10.0.0.1", 0),
        ("first", 0),
        ("10.0.0.2:81", 2),
        ("[2001:db8::1]:80", 3),
        ("2001:db8::1", 3),
    ],
)
def test_real_servers(text: str, place: int) -> None:
    assert find_real_server(WEB, text) == place


@pytest.mark.parametrize("text", ["10.0.0.2", "10.0.0.9", "10.0.0.1:81"])
def test_real_servers_that_are_none_or_two(text: str) -> None:
    with pytest.raises(NotFound, match=r"10.0.0.1:80, 10.0.0.2:80, 10.0.0.2:81"):
        find_real_server(WEB, text)
    with pytest.raises(NotFound, match="there are: none"):
        find_real_server(QUIC, text)
