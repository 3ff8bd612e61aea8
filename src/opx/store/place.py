"""Where a program's database is, and how it is reached: a file of its own (SQLite), or a PostgreSQL server."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import asyncpg
from sqlalchemy import URL

from opx.store.errors import DatabaseUnusable

SCHEMES = ("postgresql", "postgres")
PORT = 5432


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database on a PostgreSQL server. `host` may be the folder of a Unix socket. Never holds a password."""

    database: str
    host: str = ""
    port: int = PORT
    username: str = ""

    @classmethod
    def parse(cls, text: str) -> "PostgresAddress":
        """`postgresql://[USER@][HOST][:PORT]/DATABASE[?host=FOLDER]`; ValueError, which quotes nothing of it."""
        form = "expected postgresql://USER@HOST:PORT/DATABASE, or postgresql:///DATABASE?host=FOLDER for a Unix socket"
        try:
            parts = urlsplit(text)
            port = parts.port or PORT
        except ValueError:
            raise ValueError(f"is no address of a database; {form}") from None
        if parts.password is not None:
            raise ValueError(
                "holds a password; expected none here, but postgresql.password_file, or a password file of "
                "PostgreSQL's own (PGPASSFILE)"
            )
        query = dict(parse_qsl(parts.query))
        database = unquote(parts.path.removeprefix("/"))
        if parts.scheme not in SCHEMES or not database or "/" in database or parts.fragment or query.keys() - {"host"}:
            raise ValueError(f"is no address of a database; {form}")
        return cls(database, query.get("host") or parts.hostname or "", port, unquote(parts.username or ""))

    def __str__(self) -> str:
        """As `parse` takes it."""
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        database = quote(self.database, safe="")
        if self.host.startswith("/"):
            port = f":{self.port}" if self.port != PORT else ""
            return f"postgresql://{user}{port}/{database}?host={quote(self.host)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{user}{host}:{self.port}/{database}"


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """How a database server is talked to. Seconds, but counts where the name says so."""

    password_file: Path | None = None
    """Read anew for each connection. None: PGPASSFILE and what else PostgreSQL's own clients look at."""
    ssl_mode: str = "prefer"
    """As libpq's sslmode."""
    ssl_root: Path | None = None
    """The authority that the server's certificate must be from, for verify-ca and verify-full."""
    pool_size: int = 5
    pool_overflow: int = 10
    """Connections beyond `pool_size` while they are needed."""
    pool_timeout: float = 10.0
    """How long to wait for a connection of the pool."""
    recycle: float = 1800.0
    """Age at which a connection is replaced, before a firewall forgets it."""
    connect_timeout: float = 5.0
    command_timeout: float = 30.0
    """A statement that takes longer is given up, and its connection with it."""
    lock_timeout: float = 10.0
    """How long a writer waits for another one."""
    application: str = "opx"
    """What the server's own lists show."""


@dataclass(frozen=True, slots=True)
class Place:
    """`file` for SQLite, otherwise `server` by `policy`."""

    file: Path | None = None
    server: PostgresAddress | None = None
    policy: ServerPolicy = ServerPolicy()

    @property
    def url(self) -> URL:
        """As SQLAlchemy names it; holds no password."""
        if self.server is None:
            return URL.create("sqlite+aiosqlite", database=str(self.file))
        server = self.server
        return URL.create(
            "postgresql+asyncpg", server.username or None, None, server.host or None, server.port, server.database
        )

    def __str__(self) -> str:
        return str(self.server or self.file)


async def connect(place: Place) -> Any:
    """A connection of its own to the server. DatabaseUnusable."""
    server, policy = place.server, place.policy
    assert server is not None
    try:
        return await asyncpg.connect(
            host=server.host or None,
            port=server.port,
            user=server.username or None,
            database=server.database,
            password=_password(policy),
            ssl=_ssl(policy),
            timeout=policy.connect_timeout,
            command_timeout=policy.command_timeout,
            server_settings={
                "application_name": policy.application,
                "lock_timeout": str(round(policy.lock_timeout * 1000)),
                # A client that was killed in mid-transaction must not hold the others up.
                "idle_in_transaction_session_timeout": str(round(policy.command_timeout * 1000)),
            },
        )
    except TimeoutError:
        raise DatabaseUnusable(f"{place}: the database server does not answer") from None
    except OSError as error:
        raise DatabaseUnusable(f"{place}: the database server cannot be reached: {_reason(error)}") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnusable(f"{place}: the database server refuses: {error}") from None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _password(policy: ServerPolicy) -> str | None:
    if policy.password_file is None:
        return None
    try:
        text = policy.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise DatabaseUnusable(
            f"{policy.password_file} cannot be read; expected the database's password in it"
        ) from None
    if not text:
        raise DatabaseUnusable(f"{policy.password_file} is empty; expected the database's password in it")
    return text


def _ssl(policy: ServerPolicy) -> ssl.SSLContext | str | None:
    if policy.ssl_root is None or policy.ssl_mode not in ("verify-ca", "verify-full"):
        return policy.ssl_mode
    try:
        context = ssl.create_default_context(cafile=str(policy.ssl_root))
    except (OSError, ssl.SSLError):
        raise DatabaseUnusable(f"{policy.ssl_root} cannot be read; expected the authority's certificate") from None
    context.check_hostname = policy.ssl_mode == "verify-full"
    return context
