"""A timer of nanoseconds that is a file descriptor (timerfd_create(2)).

The standard library has it from Python 3.13 on. What a loop would use instead, the timeout of epoll_wait(2), is whole
milliseconds rounded up: each timer would be that much late.
"""

from __future__ import annotations

import ctypes
import os
import time

_TFD_TIMER_ABSTIME = 1
_SECOND = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_libc = ctypes.CDLL(None, use_errno=True)
_settime = _libc.timerfd_settime
_settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Itimerspec), ctypes.c_void_p)


class MonotonicTimer:
    """Fires once at a moment of `time.monotonic_ns`: its descriptor is readable from then until `clear` or `set`."""

    def __init__(self) -> None:
        self._descriptor: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._specification = _Itimerspec()
        self._pointer = ctypes.pointer(self._specification)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)

    def set(self, deadline: int | None) -> None:
        """`deadline` in ns, which may be past; None disarms. A moment that has come before counts no longer."""
        value = self._specification.value
        value.seconds, value.nanoseconds = divmod(max(deadline, 1), _SECOND) if deadline is not None else (0, 0)
        if _settime(self._descriptor, _TFD_TIMER_ABSTIME, self._pointer, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def clear(self) -> bool:
        """Whether the moment has come; it is then seen to, and the descriptor readable no more."""
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return False
        return True
