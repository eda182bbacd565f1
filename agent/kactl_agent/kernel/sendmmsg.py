"""Many datagrams with one system call (sendmmsg(2)), which the standard library does not offer.

The structures are laid out as arrays of 64-bit words, filled in bulk: a statement for each datagram would cost as much
as the system call that is saved.
"""

from __future__ import annotations

import ctypes
import os
import socket
from array import array
from collections.abc import Container, Sequence
from itertools import accumulate

_AT_ONCE = 1024  # UIO_MAXIOV
_HEADER_WORDS = 8  # struct mmsghdr: name, its length, iov, iovlen, control, its length, flags, bytes sent
_VECTOR_WORDS = 2  # struct iovec: base, length
_HEADER_BYTES = _HEADER_WORDS * 8
_VECTOR_BYTES = _VECTOR_WORDS * 8
_WORTH_IT = 16  # datagrams: fewer are sent before the structures are filled
_WORDS_OF_64_BITS = ctypes.sizeof(ctypes.c_size_t) == 8

_libc = ctypes.CDLL(None, use_errno=True)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


def send_each(sock: socket.socket, datagrams: Sequence[bytes], passed_over: Container[int]) -> int:
    """What `send_many` does, with a system call for each datagram."""
    unsent = 0
    for datagram in datagrams:
        try:
            sock.send(datagram)
        except OSError as error:
            if error.errno not in passed_over:
                raise
            unsent += 1
    return unsent


def send_together(sock: socket.socket, datagrams: Sequence[bytes], passed_over: Container[int]) -> int:
    """What `send_many` does, where `struct mmsghdr` is that of 64-bit systems."""
    if not datagrams:
        return 0
    unsent = position = 0
    data = b"".join(datagrams)
    vectors = _vectors(data, datagrams)
    headers = _headers(vectors)
    address, descriptor = headers.buffer_info()[0], sock.fileno()
    while position < len(datagrams):
        count = min(len(datagrams) - position, _AT_ONCE)
        sent: int = _sendmmsg(descriptor, address + position * _HEADER_BYTES, count, 0)
        if sent < 0:
            error = ctypes.get_errno()
            if error not in passed_over:
                raise OSError(error, os.strerror(error))
            unsent += 1
        position += max(sent, 1)
    return unsent


def _vectors(data: bytes, datagrams: Sequence[bytes]) -> array[int]:
    lengths = array("Q", map(len, datagrams))
    base = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
    vectors = array("Q", bytes(_VECTOR_BYTES * len(datagrams)))
    vectors[0::_VECTOR_WORDS] = array("Q", accumulate(lengths[:-1], initial=base))
    vectors[1::_VECTOR_WORDS] = lengths
    return vectors


def _headers(vectors: array[int]) -> array[int]:
    count = len(vectors) // _VECTOR_WORDS
    start = vectors.buffer_info()[0]
    headers = array("Q", bytes(_HEADER_BYTES * count))
    headers[2::_HEADER_WORDS] = array("Q", range(start, start + count * _VECTOR_BYTES, _VECTOR_BYTES))
    headers[3::_HEADER_WORDS] = array("Q", [1]) * count
    return headers


def send_many(sock: socket.socket, datagrams: Sequence[bytes], passed_over: Container[int]) -> int:
    """Send the datagrams in their order over a socket that knows where to.

    Returns how many met an error among `passed_over` (errno) and were not sent; any other one is raised as OSError.
    """
    send = send_together if _WORDS_OF_64_BITS and len(datagrams) >= _WORTH_IT else send_each
    return send(sock, datagrams, passed_over)
