"""Frames about notifications: descriptors of FIFOs for those who write lines, mails for the one who sends them."""

from __future__ import annotations

from kactl_agent.runtime.frame import Frame


class NotifyFifos(Frame, frozen=True):
    """To a worker, at its start and at every reload: the attached descriptors are of these FIFOs (keywords), which are
    all there are for it."""

    keywords: tuple[str, ...]


class MailOrder(Frame, frozen=True):
    """To the observer: send this mail. Answered by MailDone; asked again of the next observer until then."""

    worker: str
    number: int  # of this worker, used once
    at: int  # wall-clock ns: the date of the mail
    subject: str
    body: str


class MailDone(Frame, frozen=True):
    """To the worker: the mail was taken by the relay, or it never will be."""

    number: int
