"""Whose mistake it is: ours or the peer's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opx.sip.message import Request


class SipError(Exception):
    """Base of all errors of this library."""


class LocalProtocolError(SipError):
    """We were about to break the protocol ourselves: a bug in the caller, never the peer's doing."""


class RemoteProtocolError(SipError):
    """The peer broke the protocol, or a bound that we keep.

    `status` is what a request would be answered with, `reason` why. `request` is what could be read of it, when
    enough could be read to answer.
    """

    def __init__(self, reason: str, status: int = 400, request: Request | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.request = request
