"""What the observer does with the frames that workers send it: a table that each area fills with its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kactl_agent.runtime.frames import Frame

F = TypeVar("F", bound=Frame)


class Handlers:
    """A handler for each type of frame, and those who want to know that a worker has ended."""

    def __init__(self) -> None:
        self._handlers: dict[type[Frame], Callable[[Any], object]] = {}
        self._at_loss: dict[str, list[Callable[[], object]]] = {}

    def on(self, kind: type[F], handler: Callable[[F], object]) -> None:
        """Raises ValueError when somebody handles this type of frame already."""
        if kind in self._handlers:
            raise ValueError(f"{kind.__name__} frames have a handler")
        self._handlers[kind] = handler

    def on_loss(self, worker: str, handler: Callable[[], object]) -> None:
        """What the named worker said last is no longer so: it has ended, or another one has taken its place."""
        self._at_loss.setdefault(worker, []).append(handler)

    def handle(self, frame: Frame) -> None:
        """A frame that nobody has a handler for is nobody's business."""
        handler = self._handlers.get(type(frame))
        if handler is not None:
            handler(frame)

    def lost(self, worker: str) -> None:
        for handler in self._at_loss.get(worker, ()):
            handler()
