"""Capabilities (capabilities(7)): what the agent needs, and giving up everything else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
from collections.abc import Iterable
from enum import IntEnum

_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CLONE_NEWNET = 0x40000000
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


class Capability(IntEnum):
    """Those the agent may need, by the kernel's numbers."""

    CAP_KILL = 5
    CAP_SETGID = 6
    CAP_SETUID = 7
    CAP_NET_BIND_SERVICE = 10
    CAP_NET_ADMIN = 12
    CAP_NET_RAW = 13
    CAP_IPC_LOCK = 14
    CAP_SYS_ADMIN = 21
    CAP_SYS_NICE = 23


def effective_capabilities() -> frozenset[int]:
    """Numbers of the capabilities this process has."""
    from pathlib import Path  # not for the spawner, which is to stay small

    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            bits = int(line.split()[1], 16)
            return frozenset(number for number in range(64) if bits >> number & 1)
    return frozenset()


def missing_capabilities(needed: Iterable[Capability]) -> list[Capability]:
    have = effective_capabilities()
    return [capability for capability in needed if capability not in have]


def keep_only(capabilities: Iterable[Capability]) -> None:
    """Give up every other capability for good, and the right to gain any by exec. Raises OSError."""
    kept = 0
    for capability in capabilities:
        kept |= 1 << capability
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for number in range(64):
        if not kept >> number & 1 and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0):
            break  # EINVAL behind the last one; EPERM without CAP_SETPCAP, where no_new_privs has to do
    with contextlib.suppress(OSError):  # before Linux 4.3 there is no ambient set
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    kept &= sum(1 << number for number in effective_capabilities())
    low, high = kept & 0xFFFF_FFFF, kept >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = struct.pack("=6I", low, low, 0, high, high, 0)  # effective, permitted, inheritable; twice 32 bits
    if _libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


def become_nobody() -> bool:
    """Change to an unprivileged user and group. False where that is impossible, as in most user namespaces."""
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        return False
    return True


def die_with_parent(parent: int) -> None:
    """SIGTERM when the parent process `parent` ends, however it ends. To be repeated after a change of user."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before
        os.kill(os.getpid(), signal.SIGTERM)


def set_process_name(name: str) -> None:
    """What ps and top show (15 bytes)."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15] + b"\0", 0, 0, 0)


def enter_network_namespace(name: str) -> None:
    """Join the named network namespace (ip-netns(8)). Raises OSError."""
    from pathlib import Path  # not for every spawner

    with Path("/run/netns", name).open("rb") as file:
        if _libc.setns(file.fileno(), _CLONE_NEWNET):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"prctl {option}: {os.strerror(error)}")
