"""Messages waiting: application/simple-message-summary (RFC 3842)."""

import re
from dataclasses import dataclass

from opx.sip.grammar import has_control

CONTENT_TYPE = "application/simple-message-summary"

CLASSES = ("voice-message", "fax-message", "pager-message", "multimedia-message", "text-message", "none")
"""Message context classes (section 5.2)."""

MAX_LINES = 64
MAX_COUNT = 2**32 - 1

_COUNTS = re.compile(r"(\d{1,10})\s*/\s*(\d{1,10})(?:\s*\(\s*(\d{1,10})\s*/\s*(\d{1,10})\s*\))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class MessageCount:
    """Messages of one class. `urgent` is new and old ones among them, None when it is not told."""

    kind: str
    new: int
    old: int
    urgent: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class MessageSummary:
    """`account` is a URI, "" when absent."""

    waiting: bool
    account: str = ""
    counts: tuple[MessageCount, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> "MessageSummary":
        """ValueError when it is no summary. Headers that are not known, and those of single messages, are left out."""
        lines = body.decode("utf-8", "replace").splitlines()
        while lines and not lines[0].strip():
            del lines[0]
        waiting: bool | None = None
        account = ""
        counts = []
        for line in lines[:MAX_LINES]:
            if not line.strip():
                break
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            if name == "messages-waiting":
                waiting = {"yes": True, "no": False}.get(value.lower())
            elif name == "message-account":
                account = value
            elif name in CLASSES:
                counts.append(_count(name, value))
        if waiting is None:
            raise ValueError("no summary of messages: it does not say whether any wait")
        return cls(waiting, account, tuple(counts))

    def encode(self) -> bytes:
        lines = [f"Messages-Waiting: {'yes' if self.waiting else 'no'}"]
        if self.account:
            if has_control(self.account):
                raise ValueError("an account is a URI")
            lines.append(f"Message-Account: {self.account}")
        for count in self.counts:
            urgent = f" ({count.urgent[0]}/{count.urgent[1]})" if count.urgent is not None else ""
            lines.append(f"{count.kind.title()}: {count.new}/{count.old}{urgent}")
        return "\r\n".join((*lines, "")).encode()


def _count(kind: str, value: str) -> MessageCount:
    match = _COUNTS.match(value)
    if match is None:
        raise ValueError(f"no count of messages: {value[:40]!r}")
    new, old, *urgent = (min(int(number), MAX_COUNT) for number in match.groups("0"))
    return MessageCount(kind, new, old, (urgent[0], urgent[1]) if match[3] is not None else None)
