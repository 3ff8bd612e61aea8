"""One-time codes within a transaction: made for an extension, redeemed once at a phone's Log In key.

What is stored are the hashes that digest authentication needs (RFC 7616 section 3.4.2), sealed, for the handset may
send the code as a digest, too.
"""

import hmac
from collections.abc import Mapping

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from opx.sip.digest import Algorithm, ha1
from opx.store.secrets import Sealer
from opx.suite.handsets.models import OneTimeCode
from opx.suite.handsets.records import CODE_DIGITS, REALM, CodeRecord, random_digits

Verifier = Mapping[Algorithm, str]
"""The HA1 by algorithm: as good as the code itself."""

_ORDER = (Algorithm.MD5, Algorithm.SHA256)


def verifier_of(number: str, code: str) -> Verifier:
    """What the code of the extension `number` gives."""
    return {algorithm: ha1(algorithm, number, REALM, code) for algorithm in _ORDER}


def matches(one: Verifier, other: Verifier) -> bool:
    """In constant time."""
    return hmac.compare_digest(one[Algorithm.SHA256], other[Algorithm.SHA256])


async def make(session: AsyncSession, sealer: Sealer, extension_id: int, number: str, now: float, until: float) -> str:
    """A new code; the one before is void."""
    code = random_digits(CODE_DIGITS)
    await session.execute(delete(OneTimeCode).where(OneTimeCode.extension_id == extension_id))
    sealed = sealer.seal(":".join(verifier_of(number, code)[algorithm] for algorithm in _ORDER), _context(extension_id))
    session.add(OneTimeCode(extension_id=extension_id, verifier_sealed=sealed, created_at=now, expires_at=until))
    return code


def opened(row: OneTimeCode, sealer: Sealer) -> Verifier:
    parts = sealer.open(row.verifier_sealed, _context(row.extension_id)).split(":")
    return dict(zip(_ORDER, parts, strict=True))


def record(row: OneTimeCode) -> CodeRecord:
    return CodeRecord(row.extension_id, row.created_at, row.expires_at, row.tries or 0, row.redeemed_by or "")


def _context(extension_id: int) -> str:
    return f"code:{extension_id}"
