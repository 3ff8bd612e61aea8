"""A console's users and the one-time links by which they choose a password."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from opx.store.engine import for_reading
from opx.web.tables import MAX_USER_NAME, ConsoleTables

TOKEN_BYTES = 32

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@-]{{0,{MAX_USER_NAME - 1}}}\Z")


class Role(StrEnum):
    ADMINISTRATOR = "administrator"
    READ_ONLY = "read-only"


class AccountError(Exception):
    """What was asked is not done; the text says why. `field` is the form's field at fault, "" when it is none."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class Outdated(Exception):
    """Somebody else changed it meanwhile."""


@dataclass(frozen=True, slots=True)
class User:
    """`has_password` False: only a one-time link lets in."""

    id: int
    name: str
    role: Role
    has_password: bool
    created_at: float
    signed_in_at: float | None
    version: int

    @property
    def may_change(self) -> bool:
        return self.role is Role.ADMINISTRATOR


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link that still holds; `user` None: it makes the first administrator."""

    user: User | None
    expires_at: float


def digest_of(token: str) -> str:
    """What is kept of a random token. It has 256 bits, so that a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class Accounts:
    """Users by name; there is always an administrator once there was one."""

    def __init__(self, engine: AsyncEngine, tables: ConsoleTables, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._tables = tables
        self._clock = clock

    async def users(self) -> list[User]:
        table = self._tables.user
        async with self._reading.connect() as connection:
            return [user_of(row) for row in await connection.execute(select(table).order_by(table.c.name))]

    async def user(self, user_id: int) -> User | None:
        table = self._tables.user
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(table).where(table.c.id == user_id))).first()
        return user_of(row) if row is not None else None

    async def for_sign_in(self, name: str) -> tuple[User | None, str]:
        """A user and the password's hash; the hash is "" when there is no such user or no password."""
        table = self._tables.user
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(table).where(table.c.name == name))).first()
        return (user_of(row), row.password_hash) if row is not None else (None, "")

    async def add(self, name: str, role: Role) -> User:
        """A user without a password yet. AccountError."""
        check_name(name)
        try:
            async with self._engine.begin() as connection:
                return await self._insert(connection, name, role, "")
        except IntegrityError:
            raise AccountError(f"there is a user {name} already", "name") from None

    async def change_role(self, user_id: int, role: Role, version: int) -> User:
        """AccountError, Outdated. The user's sessions go on, with the new role."""
        table = self._tables.user
        async with self._engine.begin() as connection:
            user = await self._present(connection, user_id)
            if user.version != version:
                raise Outdated
            if role is not Role.ADMINISTRATOR:
                await self._keep_an_administrator(connection, user)
            await connection.execute(
                update(table).where(table.c.id == user_id).values(role=role.value, version=version + 1)
            )
            return await self._present(connection, user_id)

    async def remove(self, user_id: int) -> User:
        """AccountError. The user's sessions and links are gone, too."""
        async with self._engine.begin() as connection:
            user = await self._present(connection, user_id)
            await self._keep_an_administrator(connection, user)
            await connection.execute(delete(self._tables.user).where(self._tables.user.c.id == user_id))
            return user

    async def set_password(self, user_id: int, password_hash: str) -> None:
        """All sessions and links of the user end: whoever knew the old password is out. AccountError."""
        async with self._engine.begin() as connection:
            await self._present(connection, user_id)
            await self._set_password(connection, user_id, password_hash)

    async def renew_hash(self, user_id: int, password_hash: str) -> None:
        """The same password hashed anew: nothing else changes."""
        table = self._tables.user
        async with self._engine.begin() as connection:
            await connection.execute(update(table).where(table.c.id == user_id).values(password_hash=password_hash))

    async def signed_in(self, user_id: int) -> None:
        table = self._tables.user
        async with self._engine.begin() as connection:
            await connection.execute(update(table).where(table.c.id == user_id).values(signed_in_at=self._clock()))

    # --- one-time links

    async def first_link(self, lifetime: float) -> str | None:
        """The token of a new link for the first administrator, None when there is one already."""
        user = self._tables.user
        async with self._engine.begin() as connection:
            if await connection.scalar(select(func.count()).select_from(user)):
                return None
            return await self._make_link(connection, None, lifetime)

    async def reset(self, user_id: int, lifetime: float) -> str:
        """A new link for a user, in the place of an older one; the password serves until the link is used.

        AccountError when there is no such user.
        """
        async with self._engine.begin() as connection:
            await self._present(connection, user_id)
            return await self._make_link(connection, user_id, lifetime)

    async def link(self, token: str) -> Link | None:
        """What a token leads to; looking does not use it up."""
        async with self._reading.connect() as connection:
            return await self._link(connection, token)

    async def use_link(self, token: str, name: str, password_hash: str) -> User | None:
        """Use a link up: its user gets the password, or the first administrator is made under `name`. None when it does
        not hold any more. AccountError."""
        table = self._tables.link
        async with self._engine.begin() as connection:
            link = await self._link(connection, token)
            if link is None:
                return None
            await connection.execute(delete(table).where(table.c.token_hash == digest_of(token)))
            if link.user is not None:
                await self._set_password(connection, link.user.id, password_hash)
                return await self._present(connection, link.user.id)
            check_name(name)
            return await self._insert(connection, name, Role.ADMINISTRATOR, password_hash)

    async def _link(self, connection: AsyncConnection, token: str) -> Link | None:
        table = self._tables.link
        row = (await connection.execute(select(table).where(table.c.token_hash == digest_of(token)))).first()
        if row is None or row.expires_at <= self._clock():
            return None
        if row.user_id is not None:
            return Link(await self._present(connection, row.user_id), row.expires_at)
        # One for the first administrator holds as long as there is nobody.
        taken = await connection.scalar(select(func.count()).select_from(self._tables.user))
        return None if taken else Link(None, row.expires_at)

    async def _make_link(self, connection: AsyncConnection, user_id: int | None, lifetime: float) -> str:
        table = self._tables.link
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._clock()
        await connection.execute(delete(table).where((table.c.user_id == user_id) | (table.c.expires_at <= now)))
        values = {"token_hash": digest_of(token), "user_id": user_id, "expires_at": now + lifetime}
        await connection.execute(insert(table).values(values))
        return token

    # --- helpers

    async def _insert(self, connection: AsyncConnection, name: str, role: Role, password_hash: str) -> User:
        values = {"name": name, "role": role.value, "password_hash": password_hash, "created_at": self._clock()}
        done = await connection.execute(insert(self._tables.user).values(**values, version=1))
        key = done.inserted_primary_key
        assert key is not None
        return await self._present(connection, key[0])

    async def _present(self, connection: AsyncConnection, user_id: int) -> User:
        table = self._tables.user
        row = (await connection.execute(select(table).where(table.c.id == user_id))).first()
        if row is None:
            raise AccountError("this user is gone")
        return user_of(row)

    async def _set_password(self, connection: AsyncConnection, user_id: int, password_hash: str) -> None:
        tables = self._tables
        user = tables.user
        await connection.execute(
            update(user).where(user.c.id == user_id).values(password_hash=password_hash, version=user.c.version + 1)
        )
        await connection.execute(delete(tables.session).where(tables.session.c.user_id == user_id))
        await connection.execute(delete(tables.link).where(tables.link.c.user_id == user_id))

    async def _keep_an_administrator(self, connection: AsyncConnection, user: User) -> None:
        """AccountError when `user` is the last administrator who can sign in."""
        table = self._tables.user
        others = (
            select(func.count())
            .select_from(table)
            .where(table.c.id != user.id, table.c.role == Role.ADMINISTRATOR.value, table.c.password_hash != "")
        )
        if user.role is Role.ADMINISTRATOR and not await connection.scalar(others):
            raise AccountError(f"{user.name} is the last administrator; expected another one first", "role")


def check_name(name: str) -> None:
    """AccountError."""
    if not _NAME.match(name):
        text = f"is no user name; expected 1 to {MAX_USER_NAME} letters, digits and ._@-, a letter or digit first"
        raise AccountError(f"{name!r} {text}", "name")


def user_of(row: object) -> User:
    values = row._mapping  # type: ignore[attr-defined]
    return User(
        values["id"],
        values["name"],
        Role(values["role"]),
        bool(values["password_hash"]),
        values["created_at"],
        values["signed_in_at"],
        values["version"],
    )
