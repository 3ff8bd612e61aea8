"""Passwords of a console's users: what one must be like, and how it is kept (argon2id)."""

import asyncio
import secrets

import argon2

MIN_LENGTH = 12
"""NIST SP 800-63B asks for 8 at least and for no mixture of characters; an administrator's is worth more."""
MAX_LENGTH = 256
MAX_AT_ONCE = 2
"""Hashes computed at a time: each takes 64 MiB, and strangers may ask for any number."""


def weakness_of(password: str, name: str) -> str:
    """Why a user's password is not allowed, "" when it is."""
    if len(password) < MIN_LENGTH:
        return f"it is too short; expected at least {MIN_LENGTH} characters"
    if len(password) > MAX_LENGTH:
        return f"it is too long; expected at most {MAX_LENGTH} characters"
    if name and name.lower() in password.lower():
        return "it holds the user name"
    if len(set(password)) < 6:
        return "it has hardly any different characters"
    return ""


class PasswordHasher:
    """Hashes and verifies beside the event loop, a few at a time."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        self._turn = asyncio.Semaphore(MAX_AT_ONCE)
        self._nobody = ""

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, hashed: str, password: str) -> bool:
        """With an empty hash (no such user) the same work is done, and the answer is no."""
        if not self._nobody:
            self._nobody = await self.hash(secrets.token_urlsafe())
        async with self._turn:
            matches = await asyncio.to_thread(self._matches, hashed or self._nobody, password[:MAX_LENGTH])
        return matches and bool(hashed)

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made with less work than is asked for now."""
        return self._hasher.check_needs_rehash(hashed)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
