"""Nonces that cost no memory until a request with the right password has used one (RFC 7616 section 3.3)."""

import base64
import hashlib
import hmac
import struct
from enum import Enum

from opx.sip.entropy import random_bytes

_STAMP = struct.Struct(">Q")
_RANDOM_BYTES = 7
_MAC_BYTES = 12
NONCE_LENGTH = 36
"""Characters of a nonce: its 27 bytes need no padding."""

MAX_NC = 0xFFFFFFFF


class NonceVerdict(Enum):
    OK = "good"
    STALE = "expired"
    FORGED = "not one of ours"
    REPLAYED = "its count was used before"


class NonceIssuer:
    """Issues signed, expiring nonces and keeps the highest count of each accepted one.

    `max_tracked` bounds that memory. When it is full the oldest marks go, and nonces as old as the newest mark that
    went count as expired from then on: forgetting never opens a way to replay.
    """

    def __init__(self, secret: bytes, lifetime: float = 300.0, max_tracked: int = 100_000) -> None:
        self._secret = hashlib.blake2b(secret, digest_size=32).digest()
        self.lifetime = lifetime
        self._max_tracked = max_tracked
        self._marks: dict[str, int] = {}
        self._horizon = -1

    def __len__(self) -> int:
        return len(self._marks)

    def issue(self, now: float) -> str:
        """A new nonce; `now` in seconds of the owner's clock."""
        body = _STAMP.pack(int(now * 1e6)) + random_bytes(_RANDOM_BYTES)
        return base64.urlsafe_b64encode(body + self._mac(body)).decode("ascii")

    def check(self, nonce: str, now: float) -> NonceVerdict:
        """Whether a nonce is ours and still fresh; its count is not looked at."""
        stamp = self._read(nonce)
        if stamp is None:
            return NonceVerdict.FORGED
        age = now - stamp / 1e6
        if age > self.lifetime or age < -1.0 or stamp <= self._horizon:
            return NonceVerdict.STALE
        return NonceVerdict.OK

    def use(self, nonce: str, nc: int) -> NonceVerdict:
        """Take the count of a request whose credentials are right. It must be higher than any taken before."""
        mark = self._marks.get(nonce)
        if mark is not None:
            if nc <= mark:
                return NonceVerdict.REPLAYED
            self._marks[nonce] = nc
            return NonceVerdict.OK
        if nc < 1:
            return NonceVerdict.REPLAYED
        if len(self._marks) >= self._max_tracked:
            self._drop_oldest()
            stamp = self._read(nonce)
            if stamp is None or stamp <= self._horizon:
                return NonceVerdict.STALE
        self._marks[nonce] = nc
        return NonceVerdict.OK

    def _drop_oldest(self) -> None:
        """Forget a quarter of the marks, by age of the nonce, and let none of their age in any more."""
        by_age = sorted(self._marks, key=lambda nonce: self._read(nonce) or 0)
        for nonce in by_age[: max(1, len(by_age) // 4)]:
            self._horizon = max(self._horizon, self._read(nonce) or 0)
            del self._marks[nonce]

    def _read(self, nonce: str) -> int | None:
        if len(nonce) != NONCE_LENGTH:
            return None
        try:
            raw = base64.urlsafe_b64decode(nonce)
        except ValueError:
            return None
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if len(body) != 8 + _RANDOM_BYTES or not hmac.compare_digest(mac, self._mac(body)):
            return None
        stamp: int = _STAMP.unpack_from(body)[0]
        return stamp

    def _mac(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._secret, digest_size=_MAC_BYTES).digest()
