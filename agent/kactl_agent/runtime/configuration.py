"""The configuration as the processes hand it to each other: engine settings, in sealed memory files.

A reload may carry megabytes: more than a frame holds, and nothing a timing loop should wait for. A memory file is
written once, sealed against change, and passed as a descriptor.
"""

from __future__ import annotations

import fcntl
import os
import stat

import msgspec

from kactl_agent.bfd import settings as bfd_settings
from kactl_agent.bfd.settings import BfdSettings
from kactl_agent.notify import settings as notify_settings
from kactl_agent.notify.settings import MailSettings, OwnScript, SupervisorNotify, VrrpNotify
from kactl_agent.process_settings import ProcessSettings
from kactl_agent.reload_settings import ReloadSettings
from kactl_agent.runtime.parts import read_parts, write_parts
from kactl_agent.tracking import settings as tracking_settings
from kactl_agent.tracking.settings import Executable, TrackingSettings
from kactl_agent.vrrp import settings as vrrp_settings
from kactl_agent.vrrp.firewall import FirewallSettings
from kactl_agent.vrrp.network_settings import NetworkSettings
from kactl_agent.vrrp.settings import SyncGroupSettings, VrrpSettings
from kactl_agent.vrrp.static_items import StaticItems

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class AgentConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the workers need of one revision of the configuration."""

    revision: str  # changes when and only when the meaning changes
    file: str
    router_id: str = ""
    vrrp: tuple[VrrpSettings, ...] = ()
    sync_groups: tuple[SyncGroupSettings, ...] = ()
    static: StaticItems = StaticItems()
    firewall: FirewallSettings = FirewallSettings()
    network: NetworkSettings = NetworkSettings()
    tracking: TrackingSettings = TrackingSettings()
    track_scripts: dict[str, Executable] = {}  # by the name of the vrrp_script
    bfd: BfdSettings = BfdSettings()
    checkers: bytes = b""  # settings of the checkers worker, encoded: megabytes that nobody else decodes; b"" is none
    privileges: dict[str, tuple[str, ...]] = {}  # worker -> names of capabilities beyond those it always has
    process: ProcessSettings = ProcessSettings()
    reload: ReloadSettings = ReloadSettings()
    vrrp_notify: VrrpNotify = VrrpNotify()
    own_notify: SupervisorNotify = SupervisorNotify()
    mail: MailSettings | None = None
    startup: OwnScript | None = None  # startup_script, of an agent that starts
    sources: dict[str, dict[str, str]] = {}  # instance -> keyword -> where its value in force stands

    @property
    def needs_vrrp(self) -> bool:
        """Whether there is work for the VRRP worker, which keeps the static items too."""
        return bool(self.vrrp) or self.static != StaticItems()

    def needs(self, worker: str) -> bool:
        """Whether there is work for this one."""
        match worker:
            case "vrrp":
                return self.needs_vrrp
            case "bfd":
                return bool(self.bfd.sessions)
            case "checkers":
                return bool(self.checkers)
            case _:
                raise ValueError(f"there is no worker {worker}")


class ConfigurationChanges(msgspec.Struct, frozen=True):
    """What a reload does to the instances (virtual servers, sessions) of one worker, by name."""

    removed: tuple[str, ...]
    changed: tuple[str, ...]
    added: tuple[str, ...]
    unchanged: int = 0  # how many: thousands, whose names say nothing


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AgentConfiguration)
_PARTS = 2  # of an encoded configuration


_BELONGING = {
    "vrrp": ("vrrp", "sync_groups", "static", "firewall", "network", "tracking", "track_scripts", "vrrp_notify"),
    "bfd": ("bfd",),
    "checkers": ("checkers",),
    "supervisor": ("own_notify", "startup"),
    "observer": ("mail",),
}
"""Which of the fields only one process takes. All others go to everyone."""
_NOTHING = AgentConfiguration(revision="", file="")


def settings_for(worker: str, configuration: AgentConfiguration) -> AgentConfiguration:
    """What one worker is given: its own part, and what is for all."""
    others = [field for owner, fields in _BELONGING.items() if owner != worker for field in fields]
    return msgspec.structs.replace(configuration, **{field: getattr(_NOTHING, field) for field in (*others, "sources")})


def without_secrets(configuration: AgentConfiguration) -> AgentConfiguration:
    """The same for processes that only look: no passwords, no keys, and no command lines, which may hold some. The
    password of the mail relay stays, for who looks sends the mails."""
    instances = tuple(vrrp_settings.without_secrets(instance) for instance in configuration.vrrp)
    return msgspec.structs.replace(
        configuration,
        vrrp=instances,
        tracking=tracking_settings.without_secrets(configuration.tracking),
        track_scripts={
            name: msgspec.structs.replace(script, arguments=script.arguments[:1])
            for name, script in configuration.track_scripts.items()
        },
        vrrp_notify=notify_settings.without_secrets(configuration.vrrp_notify),
        own_notify=SupervisorNotify(),
        startup=None,
        bfd=bfd_settings.without_secrets(configuration.bfd),
        checkers=b"",
    )


def compare(old: tuple[VrrpSettings, ...], new: tuple[VrrpSettings, ...]) -> ConfigurationChanges:
    """Instances are the same ones when their names are."""
    before = {settings.name: settings for settings in old}
    after = {settings.name: settings for settings in new}
    return ConfigurationChanges(
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name in after if name in before and before[name] != after[name]),
        added=tuple(name for name in after if name not in before),
        unchanged=sum(before.get(name) == after[name] for name in after),
    )


def encode(configuration: AgentConfiguration) -> tuple[bytes, bytes]:
    """What `decode` takes. The settings of the checkers worker, which are most of it, are not copied."""
    return _encoder.encode(msgspec.structs.replace(configuration, checkers=b"")), configuration.checkers


def decode(others: bytes, checkers: bytes) -> AgentConfiguration:
    """Raises msgspec.MsgspecError."""
    return msgspec.structs.replace(_decoder.decode(others), checkers=checkers)


def dump_sealed(configuration: AgentConfiguration) -> int:
    """A descriptor of a memory file with the configuration, sealed. The caller closes it."""
    descriptor = os.memfd_create("kactl-configuration", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        write_parts(descriptor, encode(configuration))
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def dump_to_disk(configuration: AgentConfiguration, directory: str) -> int:
    """The same in a file without a name on the file system of `directory` (tmp_config_directory), for machines with
    little memory. The descriptor reads only, and nobody can open the file otherwise. Raises OSError."""
    writable = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC, 0o400)
    try:
        write_parts(writable, encode(configuration))
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)


def _is_out_of_reach(descriptor: int) -> bool:
    """Whether nobody can change what it reads: it is sealed, or a file without a name that is only open for reading."""
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS:
            return True
    except OSError:
        pass  # no memory file
    reads_only = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    status = os.fstat(descriptor)
    return reads_only and stat.S_ISREG(status.st_mode) and status.st_nlink == 0 and status.st_mode & 0o777 == 0o400


def load_sealed(descriptor: int) -> AgentConfiguration:
    """Read what `dump_sealed` wrote and close the descriptor. Raises ValueError when it is not sealed or not ours."""
    try:
        if not _is_out_of_reach(descriptor):
            raise ValueError("the configuration handed over is not sealed")
        return decode(*read_parts(descriptor, _PARTS))
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ValueError(f"the configuration handed over cannot be read: {error}") from error
    finally:
        os.close(descriptor)
