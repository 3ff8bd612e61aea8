"""Whether a packet's source is the one to listen to; sans I/O.

The signalling says from which address media may come, never the description's text. Behind NAT the port is unknown:
the first packet from the right address within the window fixes it, and from then on nothing else is heard. Learning
for longer, or anew at will, is what lets strangers take over a call's audio.
"""

from enum import Enum

Address = tuple[str, int]


class Verdict(Enum):
    PASS = "from the latched source"
    LEARN = "the first packet: its source is latched now"
    STRANGER = "from somewhere else"


class Latch:
    """One stream's source. `expected` None: nobody may send yet."""

    __slots__ = ("_until", "_window", "expected", "source")

    def __init__(self, window: float) -> None:
        self._window = window
        self._until = 0.0
        self.expected: str | None = None
        self.source: Address | None = None

    def expect(self, address: str | None, now: float) -> None:
        """Media may come from `address`. What is latched stays, unless it is from elsewhere.

        A window that ran out without a packet opens again; so a phone that is silent at first gets its chance with
        each answer, re-INVITE or move that signalling accepts.
        """
        if self.source is not None and self.source[0] == address:
            self.expected = address
            return
        self.expected = address
        self.source = None
        self._until = now + self._window

    def relatch(self, now: float) -> None:
        """Forget the source; the next packet from the expected address within the window is it."""
        self.source = None
        self._until = now + self._window

    def judge(self, source: Address, now: float) -> Verdict:
        """What to do with a packet from `source`."""
        if self.source is not None:
            return Verdict.PASS if source == self.source else Verdict.STRANGER
        if self.expected is None or source[0] != self.expected or now > self._until:
            return Verdict.STRANGER
        self.source = source
        return Verdict.LEARN
