"""What processes do, as the kernel's process connector reports it (linux/cn_proc.h). Needs CAP_NET_ADMIN."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kactl_agent.kernel.buffers import resize_receive_buffer, set_receive_buffer
from kactl_agent.vrrp.network_settings import NetlinkBuffer

FORK, EXEC, COMM, EXIT = 0x1, 0x2, 0x200, 0x8000_0000
LOST = 0  # events found no room: nothing is known of them

_NETLINK_CONNECTOR = 11
_CN_IDX_PROC = _CN_VAL_PROC = 1
_LISTEN = 1  # PROC_CN_MCAST_LISTEN
_NLMSG_DONE = 3
_ACKNOWLEDGED = 0  # PROC_EVENT_NONE
_RECEIVE_BUFFER = 1 << 20
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"

_NETLINK = struct.Struct("=IHHII")
_CONNECTOR = struct.Struct("=IIIIHH")
_EVENT = struct.Struct("=IIQ")  # what, processor, timestamp
_IDS = struct.Struct("=4I")
_DATA = _NETLINK.size + _CONNECTOR.size + _EVENT.size


class ProcEvent(NamedTuple):
    """FORK, EXEC, COMM (another name), EXIT or LOST. Threads are left out; `parent` is of a FORK."""

    what: int
    pid: int = 0
    parent: int = 0


class ProcEvents:
    """Raises OSError where the connector does not serve us: outside the first network or process namespace."""

    def __init__(self) -> None:
        if str(Path("/proc/self/ns/pid").readlink()) != _INITIAL_PID_NAMESPACE:
            raise OSError(errno.EOPNOTSUPP, "the process connector counts in the first process namespace")
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR)
        try:
            set_receive_buffer(self._socket, _RECEIVE_BUFFER)
            self._socket.bind((0, _CN_IDX_PROC))
            request = struct.pack("=I", _LISTEN)
            message = _CONNECTOR.pack(_CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(request), 0) + request
            header = _NETLINK.pack(_NETLINK.size + len(message), _NLMSG_DONE, 0, 0, 0)
            self._socket.send(header + message)
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def resize(self, buffer: NetlinkBuffer) -> None:
        """How much the socket takes in before it is read. Raises OSError."""
        resize_receive_buffer(self._socket, buffer if buffer.size else NetlinkBuffer(_RECEIVE_BUFFER, force=True))

    def close(self) -> None:
        self._socket.close()

    def events(self, limit: int) -> Iterator[ProcEvent]:
        """Up to `limit` of what has been reported, without blocking."""
        for _ in range(limit):
            try:
                data = self._socket.recv(1024)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield ProcEvent(LOST)
                continue
            event = decode(data)
            if event is not None:
                yield event


def decode(data: bytes) -> ProcEvent | None:
    """The event of a datagram; None for threads, for other events, and for what is no event."""
    if len(data) < _DATA + 8:
        return None
    what, _processor, _timestamp = _EVENT.unpack_from(data, _NETLINK.size + _CONNECTOR.size)
    if what == FORK and len(data) >= _DATA + _IDS.size:
        _parent_thread, parent, thread, pid = _IDS.unpack_from(data, _DATA)
        return ProcEvent(FORK, pid, parent) if thread == pid else None
    thread, pid = struct.unpack_from("=2I", data, _DATA)
    if what not in (EXEC, COMM, EXIT) or (thread != pid and what != EXEC):
        return None
    return ProcEvent(what, pid)
