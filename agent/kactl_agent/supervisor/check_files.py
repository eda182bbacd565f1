"""Makes checkers ready for this machine: the programs of MISC_CHECK, the files of FILE_CHECK, the TLS files of SSL_GET.

Part of loading a configuration, as `script_files`. A checker that cannot work here is left out with a warning, as in
keepalived: its real server is what its other checkers say.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from kactl_agent.checkers.settings import (
    AnyCheckerSettings,
    FileCheckSettings,
    HttpCheckSettings,
    MiscCheckSettings,
    TlsSettings,
)
from kactl_agent.config.checks.problem import Sheet
from kactl_agent.ipvs.settings import CheckersSettings, RealServerSettings
from kactl_agent.supervisor.script_files import ScriptPreparer
from kactl_agent.supervisor.tracked_files import unwatchable

_WITHOUT = "without it, the real server is what its other checkers say"


def prepare_checkers(sheet: Sheet, preparer: ScriptPreparer, settings: CheckersSettings) -> CheckersSettings:
    """The settings of checkers that can work here, with what their programs are."""
    files = _CheckFiles(sheet, preparer)
    servers = []
    for server in settings.virtual_servers:
        reals = tuple(files.real_server(real) for real in server.real_servers)
        same = all(new is old for new, old in zip(reals, server.real_servers, strict=True))
        servers.append(server if same else msgspec.structs.replace(server, real_servers=reals))
    files.finish()
    return msgspec.structs.replace(settings, virtual_servers=tuple(servers))


class _CheckFiles:
    def __init__(self, sheet: Sheet, preparer: ScriptPreparer) -> None:
        self._sheet = sheet
        self._preparer = preparer
        self._watchable: dict[str, bool] = {}
        self._tls: set[TlsSettings] = set()

    def real_server(self, real: RealServerSettings) -> RealServerSettings:
        """The same object where there is nothing to do, as for almost all of tens of thousands."""
        if not any(
            isinstance(each, MiscCheckSettings | FileCheckSettings | HttpCheckSettings) for each in real.checkers
        ):
            return real
        ready = tuple(made for each in real.checkers if (made := self._checker(each)) is not None)
        return real if ready == real.checkers else msgspec.structs.replace(real, checkers=ready)

    def finish(self) -> None:
        """What is said once for all checkers."""
        for tls in sorted(self._tls, key=repr):
            for keyword in ("certificate", "key", "ca"):
                file = getattr(tls, keyword)
                if file and not os.access(file, os.R_OK):
                    text = f"{keyword} {file} cannot be read: SSL_GET checks that need it fail"
                    self._sheet.warning(("SSL", keyword), "unreadable-file", text)
            break  # all have the files of the SSL block

    def _checker(self, settings: AnyCheckerSettings) -> AnyCheckerSettings | None:
        match settings:
            case MiscCheckSettings():
                return self._misc(settings)
            case FileCheckSettings():
                return settings if self._is_watchable(settings) else None
            case HttpCheckSettings() if settings.tls is not None:
                self._tls.add(settings.tls)
        return settings

    def _misc(self, settings: MiscCheckSettings) -> MiscCheckSettings | None:
        """Where it stands in the configuration is no part of it from now on: a reload that moves it changes nothing."""
        name = f"MISC_CHECK {Path(settings.command.arguments[0]).name}"
        executable = self._preparer.prepare((*settings.place, "misc_path"), name, settings.command, _WITHOUT)
        if executable is None:
            return None
        return msgspec.structs.replace(settings, executable=executable, place=())

    def _is_watchable(self, settings: FileCheckSettings) -> bool:
        name, path = settings.file.name, settings.file.path
        if name not in self._watchable:
            kind = unwatchable(path)
            self._watchable[name] = not kind
            if kind:
                text = f"FILE_CHECKs of track_file `{name}` are disabled: {path} is on {kind}, which cannot be watched"
                self._sheet.warning(
                    ("track_file", name, "file"), "file-disabled", text, "keep it on a local filesystem"
                )
        return self._watchable[name]
