"""Makes the commands of a configuration ready for this machine: who runs them, what file they are, and is that safe.

Part of loading a configuration: it looks at users and files, in a process that ends thereafter.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from kactl_agent.config.checks.problem import Path as ConfigPath
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.config.trackers import ScriptPolicy
from kactl_agent.supervisor.script_security import Component, changeable_by_others
from kactl_agent.tracking.settings import Command, Executable, TrackerKind, TrackerUse, TrackingSettings

DEFAULT_USER = "keepalived_script"
SEARCH_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_MAGICS = (b"#!", b"\x7fELF")
_LINKS = 40  # symbolic links on a path, as the kernel follows


class ScriptPreparer:
    """Makes commands of the configuration ready for this machine, and tells the sheet what there is to say about each:
    what cannot be run, or must not, is left out with a warning. A command that comes again is looked at once."""

    def __init__(self, sheet: Sheet, policy: ScriptPolicy) -> None:
        self._sheet = sheet
        self._policy = policy
        self._files = ScriptFiles(policy)
        self._as_root: list[str] = []
        self._known: dict[Command, tuple[Executable | ScriptRefused, tuple[str, ...], tuple[str, ...]]] = {}

    def prepare(self, path: ConfigPath, name: str, command: Command, hint: str) -> Executable | None:
        """`name` is what the script is called in messages: `vrrp_script chk`; `hint` is for one that is left out."""
        outcome, insecure, searched = self._looked_at(command)
        if isinstance(outcome, ScriptRefused):
            self._sheet.warning(path, "script-disabled", f"{name} is disabled: {outcome}", hint)
        elif outcome.uid == 0:
            self._as_root.append(name)
        for text in insecure:
            self._sheet.warning(path, "insecure-script", text, "let only root write there, or give it another user")
        for text in searched:
            self._sheet.warning(path, "script-search", text)
        return None if isinstance(outcome, ScriptRefused) else outcome

    def identity(self, path: ConfigPath, name: str, user: str, group: str) -> Identity | None:
        """Who a thing belongs to that says so as scripts do; None, and a warning, when that is nobody here."""
        try:
            return self._files.identity(Command((), user, group))
        except ScriptRefused as refused:
            self._sheet.warning(path, "unknown-user", f"{name} is disabled: {refused}")
            return None

    def finish(self) -> None:
        """One word about everything that root runs unprotected."""
        if self._as_root and not self._policy.security:
            names = ", ".join(sorted(dict.fromkeys(self._as_root)))
            text = f"enable_script_security is not set, and root runs {names}"
            hint = "with it, none runs as root that somebody else may change"
            self._sheet.note(("global_defs",), "script-security", text, hint)

    def _looked_at(self, command: Command) -> tuple[Executable | ScriptRefused, tuple[str, ...], tuple[str, ...]]:
        known = self._known.get(command)
        if known is None:
            self._files.insecure.clear()
            self._files.searched.clear()
            outcome: Executable | ScriptRefused
            try:
                outcome = self._files.prepare(command)
            except ScriptRefused as refused:
                outcome = refused
            known = self._known[command] = outcome, tuple(self._files.insecure), tuple(self._files.searched)
        return known


def prepare_track_scripts(
    preparer: ScriptPreparer, tracking: TrackingSettings
) -> tuple[TrackingSettings, dict[str, Executable]]:
    """The trackers that can work here, and the executables of their scripts by name. As keepalived, one that cannot be
    run, or must not, is not tracked at all."""
    executables: dict[str, Executable] = {}
    for script in tracking.scripts:
        path = ("vrrp_script", script.name, "script")
        hint = "until it can be run, the instances that track it run as if they did not"
        executable = preparer.prepare(path, f"vrrp_script {script.name}", script.command, hint)
        if executable is not None:
            executables[script.name] = executable
    return _without_disabled(tracking, executables), executables


def _without_disabled(tracking: TrackingSettings, executables: dict[str, Executable]) -> TrackingSettings:
    def works(use: TrackerUse) -> bool:
        return use.kind is not TrackerKind.SCRIPT or use.tracker in executables

    uses = {name: tuple(use for use in entries if works(use)) for name, entries in tracking.uses.items()}
    return msgspec.structs.replace(
        tracking,
        scripts=tuple(script for script in tracking.scripts if script.name in executables),
        uses={name: entries for name, entries in uses.items() if entries},
    )


class ScriptRefused(Exception):
    """The command cannot or must not be run here; says why."""


class Identity(NamedTuple):
    """A user and the one group it runs with."""

    uid: int
    gid: int


class ScriptFiles:
    """The machine's users and files, seen with one policy. `insecure` has what script security would refuse."""

    def __init__(self, policy: ScriptPolicy) -> None:
        self._policy = policy
        self.insecure: list[str] = []
        self.searched: list[str] = []  # commands without a path, and what was found

    def prepare(self, command: Command) -> Executable:
        """Raises ScriptRefused."""
        identity = self.identity(command)
        path = self._locate(command.arguments[0], identity)
        if not _accessible(path, identity):
            raise ScriptRefused(f"{path} is not found, or user {identity.uid} may not execute it")
        if identity.uid == 0:
            self._check_security(path)
        resolved = path if self._policy.keep_symlinks else str(Path(path).resolve())
        arguments = (resolved, *command.arguments[1:])
        return Executable(arguments, identity.uid, identity.gid, shell=not _has_format(resolved, identity))

    # -- users ---------------------------------------------------------------------------------------------------------

    def identity(self, command: Command) -> Identity:
        """The user and group of a command. Raises ScriptRefused."""
        if command.user:
            return _named(command.user, command.group)
        if self._policy.user:
            return _named(self._policy.user, self._policy.group)
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(DEFAULT_USER)
            return Identity(entry.pw_uid, entry.pw_gid)
        if self._policy.security and os.geteuid() == 0:
            raise ScriptRefused(
                f"there is no user {DEFAULT_USER}, and enable_script_security forbids root instead: say script_user"
            )
        return Identity(os.geteuid(), os.getegid())

    # -- files ---------------------------------------------------------------------------------------------------------

    def _locate(self, program: str, identity: Identity) -> str:
        if program.startswith("/"):
            return program
        if "/" in program:
            raise ScriptRefused(f"{program} is no absolute path")
        for directory in SEARCH_PATH:
            path = f"{directory}/{program}"
            if _accessible(path, identity):
                self.searched.append(f"`{program}` is taken for {path}: better say the whole path")
                return path
        raise ScriptRefused(f"{program} is not found in {':'.join(SEARCH_PATH)}")

    def _check_security(self, path: str) -> None:
        try:
            danger = changeable_by_others(components(path))
        except OSError as error:
            raise ScriptRefused(f"{path}: {error.strerror}") from error
        if not danger:
            return
        if self._policy.security:
            raise ScriptRefused(f"it would run as root, and {danger}")
        self.insecure.append(f"{path} runs as root, and {danger}")


def components(path: str) -> Iterator[Component]:
    """Every directory and link that leads to the file, and the file, in the order they are met. Raises OSError."""
    rest = [step for step in reversed(path.split("/")) if step not in ("", ".")]
    here, links = "", 0
    yield _component("/")
    while rest:
        step = rest.pop()
        if step == "..":
            here = here.rpartition("/")[0]
            continue
        found = _component(f"{here}/{step}")
        yield found
        if not stat.S_ISLNK(found.mode):
            here = found.path
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = str(Path(found.path).readlink())
        if target.startswith("/"):
            here = ""
        rest += [step for step in reversed(target.split("/")) if step not in ("", ".")]


def _component(path: str) -> Component:
    found = Path(path).lstat()
    return Component(path, found.st_mode, found.st_uid, found.st_gid)


def _named(user: str, group: str) -> Identity:
    uid, gid = _user(user)
    if not group:
        if gid is None:
            raise ScriptRefused(f"user {user} is unknown here, so its group has to be said")
        return Identity(uid, gid)
    try:
        return Identity(uid, int(group) if group.isdigit() else grp.getgrnam(group).gr_gid)
    except KeyError:
        raise ScriptRefused(f"there is no group {group}") from None


def _user(user: str) -> tuple[int, int | None]:
    with contextlib.suppress(KeyError):
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        return entry.pw_uid, entry.pw_gid
    if user.isdigit():
        return int(user), None
    raise ScriptRefused(f"there is no user {user}")


@contextlib.contextmanager
def _acting_as(identity: Identity) -> Iterator[None]:
    """With the rights that the script will have to files; without the privilege to take them on, with our own."""
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    with contextlib.ExitStack() as back:
        if identity != (uid, gid):
            with contextlib.suppress(PermissionError):  # the start is refused for that, with the capability's name
                os.setgroups([identity.gid])
                back.callback(os.setgroups, groups)
                os.setegid(identity.gid)
                back.callback(os.setegid, gid)
                os.seteuid(identity.uid)
                back.callback(os.seteuid, uid)
        yield


def _accessible(path: str, identity: Identity) -> bool:
    with _acting_as(identity):
        return os.access(path, os.X_OK, effective_ids=True) and not Path(path).is_dir()


def _has_format(path: str, identity: Identity) -> bool:
    """Whether the kernel can execute it: a program, or a script that names its interpreter. What cannot be read is
    a program."""
    with _acting_as(identity):
        try:
            with Path(path).open("rb") as file:
                return file.read(4).startswith(_MAGICS)
        except OSError:
            return True
