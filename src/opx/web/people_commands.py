"""What the programs' `user` commands do: a console's people, without a browser."""

import getpass
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from opx.web.accounts import AccountError, Accounts, Role, User
from opx.web.audit import Audit
from opx.web.tables import ConsoleTables

SOURCE = "command line"
COLUMNS = ("Name", "Role", "Password", "Last sign-in")


class PeopleCommands:
    """`url` is the console's, with a trailing slash, `lifetime` that of one-time links, in seconds."""

    def __init__(self, engine: AsyncEngine, tables: ConsoleTables, url: str, lifetime: float) -> None:
        self._accounts = Accounts(engine, tables)
        self._audit = Audit(engine, tables)
        self._url = url
        self._lifetime = lifetime

    async def rows(self) -> list[tuple[str, ...]]:
        """Of a table with COLUMNS."""
        rows: list[tuple[str, ...]] = []
        for user in await self._accounts.users():
            password = "set" if user.has_password else "not chosen yet"
            rows.append((user.name, user.role.value, password, _when(user)))
        return rows

    async def add(self, name: str, role: Role) -> str:
        """What to tell the owner: the link by which the new user chooses a password. AccountError."""
        user = await self._accounts.add(name, role)
        await self._audit.note(getpass.getuser(), SOURCE, "added a user", name, f"role {role.value}")
        return await self._reset(user)

    async def link(self, name: str) -> str:
        """The same for somebody who cannot sign in any more; "" is the first administrator. AccountError."""
        if not name:
            token = await self._accounts.first_link(self._lifetime)
            if token is None:
                raise AccountError("there are users already; expected the name of one")
            return self._said(token)
        user = next((user for user in await self._accounts.users() if user.name == name), None)
        if user is None:
            raise AccountError(f"there is no user {name}")
        return await self._reset(user)

    async def _reset(self, user: User) -> str:
        await self._audit.note(getpass.getuser(), SOURCE, "made a one-time link", user.name)
        return self._said(await self._accounts.reset(user.id, self._lifetime))

    def _said(self, token: str) -> str:
        return f"to choose a password, once and within {self._lifetime / 3600:g} h: {self._url}link/{token}"


def _when(user: User) -> str:
    if user.signed_in_at is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(user.signed_in_at))
