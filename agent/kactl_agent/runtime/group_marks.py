"""Keeps the firewall marks of groups in nftables (nftables_ipvs)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kactl_agent.ipvs.marks import Marked
from kactl_agent.ipvs.settings import MarksSettings
from kactl_agent.kernel.nft_marks import MarksPort

Log = Callable[[str, str], None]  # level, text


class GroupMarks:
    """`follow` says whether packets are marked: where they cannot be, services of marks would get none."""

    def __init__(self, open_port: Callable[[], MarksPort], log: Log) -> None:
        self._open = open_port
        self._port: MarksPort | None = None
        self._log = log
        self._settings: MarksSettings | None = None
        self._marked: tuple[Marked, ...] = ()

    def follow(self, settings: MarksSettings | None, marked: Sequence[Marked]) -> bool:
        """These and no others. What is marked already stays untouched."""
        if self._settings is not None and (settings is None or settings.table != self._settings.table):
            self.stop()
        if settings is None or not marked:
            self.stop()
            return True
        if settings == self._settings and tuple(marked) == self._marked:
            return True
        try:
            if self._port is None:
                self._port = self._open()
            said = self._port.install(settings, marked)
        except OSError as error:
            text = (
                f"groups have a service for each address: nftables_ipvs cannot mark packets: {error.strerror or error}"
            )
            self._log("error", text)
            return False
        if said:
            self._log("warning", said)
        self._settings, self._marked = settings, tuple(marked)
        return True

    def stop(self) -> None:
        """The table goes, if it was made."""
        settings, self._settings, self._marked = self._settings, None, ()
        if settings is None or self._port is None:
            return
        try:
            self._port.discard(settings)
        except OSError as error:
            self._log("error", f"nftables table {settings.table} is left behind: {error.strerror or error}")
        self._port.close()
        self._port = None
