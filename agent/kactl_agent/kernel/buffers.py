"""Socket buffers of a size: beyond the system's limit where that is permitted, as far as the limit allows otherwise."""

from __future__ import annotations

import socket

from kactl_agent.vrrp.network_settings import NetlinkBuffer

_LARGEST = 2**31 - 1
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33


def set_send_buffer(sock: socket.socket, size: int) -> None:
    _set(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, size)


def set_receive_buffer(sock: socket.socket, size: int) -> None:
    _set(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, size)


def resize_receive_buffer(sock: socket.socket, buffer: NetlinkBuffer) -> None:
    """As it is configured: within the system's limit, unless it is to be forced. Without a size nothing changes."""
    if buffer.size:
        size = min(buffer.size, _LARGEST)
        if buffer.force:
            set_receive_buffer(sock, size)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _set(sock: socket.socket, force: int, plain: int, size: int) -> None:
    try:
        # CAP_NET_ADMIN of the machine's first user namespace: root of a rootless container does not have it
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, plain, size)
