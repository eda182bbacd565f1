"""What the actions of a virtual server's engine are told as: to scripts, FIFOs and by mail (`kactl_agent.notify`)."""

from __future__ import annotations

from kactl_agent.ipvs.actions import QuorumChanged, ServerChanged, ServerRemoved
from kactl_agent.ipvs.model import server_text
from kactl_agent.ipvs.settings import VirtualServerSettings
from kactl_agent.notify.events import Notification, quorum_body, quorum_event, server_event
from kactl_agent.vrrp.actions import Action

_BODIES = {
    # checker -> body of the mail when it succeeds, and when it fails (keepalived)
    "TCP_CHECK": ("=> TCP CHECK succeed on service <=", "=> TCP CHECK failed on service <="),
    "HTTP_GET": ("=> CHECK succeed on service <=", "=> CHECK failed on service : HTTP request failed <="),
    "SSL_GET": ("=> CHECK succeed on service <=", "=> CHECK failed on service : SSL request failed <="),
    "SMTP_CHECK": ("=> CHECK succeed on service <=", "=> CHECK failed on service <="),
    "DNS_CHECK": ("=> DNS_CHECK: succeed on service <=", "=> DNS_CHECK: failed on service <="),
    "UDP_CHECK": ("=> UDP CHECK succeed on service <=", "=> UDP CHECK failed on service <="),
    "PING_CHECK": ("=> ICMP CHECK succeed on service <=", "=> ICMP CHECK failed on service <="),
    "MISC_CHECK": ("=> MISC CHECK succeed on service <=", "=> MISC CHECK failed on service <="),
    "FILE_CHECK": ("=> FILE CHECK succeed on service <=", "=> FILE CHECK failed on service <="),
    "BFD_CHECK": ("=> BFD CHECK succeed on service <=", "=> BFD CHECK failed on service <="),
}
_STARTING = "=> Starting <="
_REMOVING = "=> Removing <="
_SHUTTING_DOWN = "=> Shutting down <="


def server_name(settings: VirtualServerSettings, server: int) -> str:
    """`[10.0.0.1]:tcp:80`; of a firewall mark `[10.0.0.1]:none:80`."""
    real = settings.real_servers[server]
    return server_text(real.address, settings.protocol, real.port)


def notification_of(
    action: Action, settings: VirtualServerSettings, *, init_notifies: bool, stopping: bool = False
) -> Notification | None:
    """What there is to tell, None for nothing. `settings` are those that the places in the action belong to."""
    match action:
        case ServerChanged() if init_notifies or not action.starting:
            real = settings.real_servers[action.server]
            bodies = _BODIES.get(action.keyword, (_STARTING, _STARTING))
            return server_event(
                server_name(settings, action.server),
                settings.name,
                action.up,
                real.notify_up if action.up else real.notify_down,
                mail=real.smtp_alert,
                body=bodies[0] if action.up else bodies[1],
            )
        case ServerRemoved():
            real = settings.real_servers[action.server]
            body = _SHUTTING_DOWN if stopping else _REMOVING
            name = server_name(settings, action.server)
            return server_event(name, settings.name, False, real.notify_down, mail=real.smtp_alert, body=body)
        case QuorumChanged():
            body = quorum_body(action.up, settings.quorum, settings.hysteresis, action.weight, starting=action.starting)
            script = settings.quorum_up if action.up else settings.quorum_down
            mail = settings.smtp_alert
            return quorum_event(settings.name, action.up, script, mail=mail, body=_SHUTTING_DOWN if stopping else body)
    return None
