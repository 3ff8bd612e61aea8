"""A call as the phone sees it."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from opx.phone.media import PhoneMedia
from opx.rtp.endpoint import RtpEndpoint
from opx.sip import events
from opx.sip.replaces import DialogName
from opx.sip.session import Session

Watcher = Callable[[events.SessionEvent], None]


@dataclass(slots=True, eq=False)
class PhoneCall:
    """`offer` is what an incoming call offered; `keys` are those that the other end pressed."""

    session: Session
    peer: str
    media: PhoneMedia
    offer: bytes = b""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    held: bool = False
    """The other end keeps us on hold."""
    keys: str = ""
    watchers: list[Watcher] = field(default_factory=list)
    """Hear of every event before the call itself, as long as they want to."""

    @property
    def endpoint(self) -> RtpEndpoint:
        return self.media.endpoint

    @property
    def heard(self) -> array[int]:
        """What came in, as PCM at 8 kHz."""
        return self.media.heard

    @property
    def holding(self) -> bool:
        """We keep the other end on hold."""
        return self.media.holding

    @property
    def waiting(self) -> bool:
        """It rings here."""
        return self.session.asked

    @property
    def name(self) -> DialogName | None:
        """Its dialog as the other end would be asked to replace it; None before there is one."""
        dialog = self.session.dialog
        if dialog is None or not dialog.remote_tag:
            return None
        return DialogName(dialog.call_id, dialog.remote_tag, dialog.local_tag)
