"""What notifications need to know of the configuration: resolved and defaulted. Times are nanoseconds."""

from __future__ import annotations

from enum import Enum

import msgspec

from kactl_agent.tracking.settings import Command, Executable
from kactl_agent.vrrp.settings import SECOND


class ItemNotify(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told, and to whom, about one vrrp_instance or vrrp_sync_group."""

    scripts: dict[str, Command] = {}  # by keyword: notify_master, ..., notify
    mail: bool = False  # smtp_alert
    deleted: bool = False  # notify_deleted: what a reload takes away is DELETED, not FAULT


class VrrpNotify(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the vrrp worker tells others. Items of which nothing is told but FIFO lines may be missing."""

    instances: dict[str, ItemNotify] = {}
    groups: dict[str, ItemNotify] = {}
    fault_mails: bool = True  # False: no_email_faults
    states_on_reload: bool = False  # fifo_write_vrrp_states_on_reload
    executables: tuple[tuple[Command, Executable], ...] = ()  # of all the scripts that can, and may, be run here
    fifos: tuple[str, ...] = ()  # keywords of those that lines go to; the supervisor hands their descriptors over

    @property
    def sends_mail(self) -> bool:
        return any(item.mail for items in (self.instances, self.groups) for item in items.values())


class Security(Enum):
    """What protects the way to a mail relay (smtp_tls)."""

    NONE = "none"
    STARTTLS = "starttls"  # RFC 3207
    IMPLICIT = "implicit"  # RFC 8314 3.3


class Recipient(msgspec.Struct, frozen=True):
    """Of notification_email."""

    address: str  # what RCPT TO says
    text: str  # what the header says, a name included


class MailSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The mail relay, and who gets mail from whom."""

    host: str  # an address, unless its name could not be looked up
    port: int
    helo_name: str
    sender: Recipient
    recipients: tuple[Recipient, ...]
    subject_prefix: str  # router_id
    timeout: int = 30 * SECOND  # for the connection and for each answer (smtp_connect_timeout)
    security: Security = Security.NONE
    server_name: str = ""  # what the certificate of the relay has to be for
    ca_file: str = ""  # who may have issued it; empty: whom the machine trusts
    user: str = ""  # empty: no authentication
    password: str = ""  # never logged


class FifoSettings(msgspec.Struct, frozen=True):
    """notify_fifo, vrrp_notify_fifo or lvs_notify_fifo, made ready for this machine."""

    path: str
    uid: int
    gid: int
    script: Executable | None = None  # its reader, started by the agent; the path comes as its last argument


class OwnScript(msgspec.Struct, frozen=True):
    """startup_script or shutdown_script, made ready for this machine."""

    executable: Executable
    timeout: int = 10 * SECOND


class SupervisorNotify(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the supervisor itself runs and opens: the workers see no more of it than descriptors."""

    shutdown: OwnScript | None = None
    fifos: dict[str, FifoSettings] = {}  # by keyword


def without_secrets(notify: VrrpNotify) -> VrrpNotify:
    """The same for those who only look: of each script the file that is executed, arguments may be secrets."""
    files = {command: executable.arguments[:1] for command, executable in notify.executables}
    replace = msgspec.structs.replace

    def shown(items: dict[str, ItemNotify]) -> dict[str, ItemNotify]:
        return {
            name: replace(
                item,
                scripts={
                    keyword: replace(command, arguments=files.get(command, command.arguments[:1]))
                    for keyword, command in item.scripts.items()
                },
            )
            for name, item in items.items()
        }

    return replace(notify, instances=shown(notify.instances), groups=shown(notify.groups), executables=())
