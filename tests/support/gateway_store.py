"""A gateway's database in a folder, for tests that need one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from opx.gateway.repository import DeviceSpec, Repository
from opx.store.engine import open_engine
from opx.store.secrets import Sealer, load_key
from support.postgres import DATABASES

REALM = "gateway.test"
SPEC = DeviceSpec("tw1", "Set-Side-7secret", "Node 1", "1001", "Icp-Side-8secret", "At home")


def repository_in(folder: Path) -> Repository:
    """Not opened yet."""
    key = load_key(folder / "gateway.key", create=True)
    return Repository(engine_in(folder), Sealer(key))


def engine_in(folder: Path) -> AsyncEngine:
    """On the gateway's database."""
    return open_engine(DATABASES.place(folder / "gateway.db"))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Repository]:
    """Opened, with a fixed realm; closed on leaving."""
    repository = repository_in(folder)
    try:
        await repository.open(REALM)
        yield repository
    finally:
        await repository.close()


def stored_bytes(folder: Path) -> bytes:
    """All that stands in the folder, the key file apart, and in the database."""
    files = b"".join(path.read_bytes() for path in folder.iterdir() if path.name != "gateway.key")
    return files + DATABASES.dump(folder / "gateway.db")


async def with_icp(repository: Repository) -> Repository:
    """The ICP that SPEC belongs to."""
    await repository.put_icp("Node 1", "MiVoice Office 250", "10.0.0.20", 5060, "UDP")
    return repository
