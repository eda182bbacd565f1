"""Reads and replaces the filter table of iptables or ip6tables (socket options of linux/netfilter_ipv4/ip_tables.h)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

from kactl_agent.kernel import xtables as xt
from kactl_agent.kernel.xtables import COUNTERS, INFO_SIZE, Table, TableInfo
from kactl_agent.vrrp.family import Family

_LOCK = "/run/xtables.lock"
_GET_INFO, _GET_ENTRIES, _SET_REPLACE, _ADD_COUNTERS = 64, 65, 64, 65
_NAME = xt.TABLE.encode().ljust(32, b"\0")
_NAME_AND_NUMBER = struct.Struct("=32sI4x")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.getsockopt.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class KernelTable:
    """`kactl_agent.kernel.iptables.TablePort` on Linux, for a reading and the writings that follow it."""

    def __init__(self, family: Family) -> None:
        self._family = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
        self._level = socket.SOL_IP if family is Family.IPV4 else socket.IPPROTO_IPV6
        self._layout = xt.IPV4 if family is Family.IPV4 else xt.IPV6
        self._info: TableInfo | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The lock that the iptables commands of a machine hold from reading a table to having changed it, if it can be
        had at once. Without it the kernel refuses what was made of a table that others have made longer or shorter
        meanwhile, and nothing else."""
        try:
            descriptor = os.open(_LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            yield
            return
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> Table:
        with self._socket() as sock:
            info = xt.decode_info(self._get(sock, _GET_INFO, bytearray(_NAME.ljust(INFO_SIZE, b"\0"))))
            request = bytearray(_NAME_AND_NUMBER.pack(_NAME, info.size)) + bytearray(info.size)
            data = self._get(sock, _GET_ENTRIES, request)[_NAME_AND_NUMBER.size :]
        self._info = info
        return Table(self._layout, info, data)

    def write(self, table: Table) -> None:
        """Packets that are counted stay so: the counts of a table that is replaced are added to the new one."""
        if self._info is None:
            raise OSError(errno.EAGAIN, "the table has not been read")
        counted = ctypes.create_string_buffer(self._info.entries * COUNTERS.size)
        with self._socket() as sock:
            sock.setsockopt(self._level, _SET_REPLACE, table.encode(ctypes.addressof(counted)))
            places = table.places()
            old = counted.raw
            counts = b"".join(
                old[place * COUNTERS.size : (place + 1) * COUNTERS.size] if place >= 0 else b"\0" * COUNTERS.size
                for place in places
            )
            # the counts are no reason to call what has been done undone: somebody may have changed the table again
            with contextlib.suppress(OSError):
                sock.setsockopt(self._level, _ADD_COUNTERS, _NAME_AND_NUMBER.pack(_NAME, len(places)) + counts)

    def _socket(self) -> socket.socket:
        return socket.socket(self._family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)

    def _get(self, sock: socket.socket, option: int, request: bytearray) -> bytes:
        """`socket.getsockopt` neither takes a request nor more than 1024 bytes."""
        buffer = (ctypes.c_char * len(request)).from_buffer(request)
        length = ctypes.c_uint(len(request))
        if _libc.getsockopt(sock.fileno(), self._level, option, buffer, ctypes.byref(length)):
            error = ctypes.get_errno()
            if error == errno.EINVAL and option == _GET_ENTRIES:
                error = errno.EAGAIN  # the table has become larger or smaller since it was asked for its size
            raise OSError(error, os.strerror(error))
        return bytes(request)
