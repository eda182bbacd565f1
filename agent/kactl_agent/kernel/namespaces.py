"""Sockets of another network namespace: they stay there, whoever uses them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_NAMESPACES = "/run/netns"


@contextmanager
def inside(namespace: str | None) -> Iterator[None]:
    """Inside, this thread is in that network namespace: a name of ip-netns(8), empty for the one of the first process;
    None is the caller's. Raises OSError where it cannot be entered."""
    if namespace is None:
        yield
        return
    path = f"{_NAMESPACES}/{namespace}" if namespace else "/proc/1/ns/net"
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        other = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(other)
        finally:
            os.close(other)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns: Python 3.12
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
