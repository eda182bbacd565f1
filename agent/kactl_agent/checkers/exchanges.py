"""From the settings of a checker to the exchange of one check, and to its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kactl_agent.checkers.dns import DnsExchange
from kactl_agent.checkers.following import BfdChecker, FileChecker
from kactl_agent.checkers.http_check import HttpCheckExchange
from kactl_agent.checkers.ping import PingExchange
from kactl_agent.checkers.schedule import CheckSchedule
from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    BfdCheckSettings,
    DnsCheckSettings,
    FileCheckSettings,
    HttpCheckSettings,
    PingCheckSettings,
    SmtpCheckSettings,
    TcpCheckSettings,
    UdpCheckSettings,
)
from kactl_agent.checkers.smtp import SmtpExchange
from kactl_agent.checkers.tcp import TcpExchange
from kactl_agent.checkers.udp import UdpExchange

if TYPE_CHECKING:
    from kactl_agent.checkers.exchange import Exchange
    from kactl_agent.checkers.schedule import Checker

NetworkCheckSettings = (
    TcpCheckSettings | HttpCheckSettings | SmtpCheckSettings | DnsCheckSettings | UdpCheckSettings | PingCheckSettings
)
"""Checkers that talk to the server themselves."""


def make_checker(settings: AnyCheckerSettings, seed: int) -> Checker:
    """The engine of a checker; `seed` decides on its random delays."""
    match settings:
        case FileCheckSettings():
            return FileChecker(settings)
        case BfdCheckSettings():
            return BfdChecker(settings)
        case _:
            return CheckSchedule(settings, seed)


def make_exchange(settings: NetworkCheckSettings, step: int, chance: int) -> Exchange:
    """One check; `step` as in StartCheck, `chance` a random number of 64 bits that no one else can guess."""
    match settings:
        case TcpCheckSettings():
            return TcpExchange()
        case HttpCheckSettings():
            return HttpCheckExchange(settings.urls[step], settings.version)
        case SmtpCheckSettings():
            return SmtpExchange(settings.helo_name)
        case DnsCheckSettings():
            return DnsExchange(chance & 0xFFFF, settings.name, settings.type)
        case UdpCheckSettings():
            return UdpExchange(settings)
        case PingCheckSettings():
            family = 6 if ":" in settings.target.address else 4
            return PingExchange(family, chance & 0xFFFF, chance >> 16 & 0xFFFF, chance.to_bytes(8, "big"))
