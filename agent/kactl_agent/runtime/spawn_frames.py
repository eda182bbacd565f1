"""What a worker and the spawner say to each other, one msgpack frame a message. Imports next to nothing: the spawner
has to stay small."""

from __future__ import annotations

import msgspec


class SpawnFrame(msgspec.Struct, frozen=True, tag_field="frame", tag=True):
    """Any of them. `run` is the worker's number for one run of a command, used once."""


class Run(SpawnFrame, frozen=True):
    """Start a command: the first argument is an absolute path."""

    run: int
    arguments: tuple[str, ...]
    uid: int
    gid: int


class Signal(SpawnFrame, frozen=True):
    """Signal a run and everything it started; one that has ended is nobody."""

    run: int
    signal: int


class Started(SpawnFrame, frozen=True):
    """The attached descriptor is a pidfd of the run."""

    run: int
    pid: int


class Ended(SpawnFrame, frozen=True):
    """The last word about a run: its exit status, a signal as a negative number; `error` says why it never began."""

    run: int
    status: int
    error: str = ""


AnySpawnFrame = Run | Signal | Started | Ended

LARGEST = 1 << 18  # bytes; Linux takes no argument longer than 128 KiB

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnySpawnFrame] = msgspec.msgpack.Decoder(AnySpawnFrame)


def encode(frame: SpawnFrame) -> bytes:
    return _encoder.encode(frame)


def decode(data: bytes) -> AnySpawnFrame:
    """Raises msgspec.MsgspecError."""
    return _decoder.decode(data)
