"""One AF_PACKET socket (packet(7)) for the frames that tell the neighbourhood where an address is."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from kactl_agent.kernel.buffers import set_send_buffer
from kactl_agent.kernel.sendmmsg import send_many

_SEND_BUFFER = 4 << 20
_QUEUE_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS})


class PacketFrameSocket:
    """`kactl_agent.kernel.ports.FrameSocket` on Linux. It receives nothing: its protocol is 0."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        set_send_buffer(self._socket, _SEND_BUFFER)

    def close(self) -> None:
        self._socket.close()

    def send(self, interface: str, frames: Sequence[bytes]) -> int:
        # bound once for the burst: naming the interface with each frame would look its index up each time
        self._socket.bind((interface, 0))
        return send_many(self._socket, frames, _QUEUE_FULL)
