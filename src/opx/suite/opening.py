"""The suite's database with its key: the one way in, for each of its processes and commands."""

from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from opx.store.engine import is_new, open_engine
from opx.store.migrations import migrate
from opx.store.secrets import Sealer, load_key
from opx.suite.models import Setting
from opx.suite.settings import SuiteSettings
from opx.suite.sites.repository import SiteRepository

MIGRATIONS = Path(__file__).parent / "migrations"
KEY_PROBE = "setting:key"
"""Context of a sealed value that tells at the start whether the key file is this database's."""


async def open_sites(settings: SuiteSettings) -> SiteRepository:
    """The database, up to date; its `engine` is for the other rooms' repositories, and to be disposed of by the caller.

    SecretsError when the key file is not this database's, DatabaseTooNew, DatabaseUnusable.
    """
    sealer = Sealer(load_key(settings.key_file, create=await is_new(settings.database_place)))
    engine = open_engine(settings.database_place)
    try:
        await migrate(engine, MIGRATIONS)
        await check_key(engine, sealer)
        return SiteRepository(engine, sealer)
    except BaseException:
        await engine.dispose()
        raise


async def check_key(engine: AsyncEngine, sealer: Sealer) -> None:
    """SecretsError when the key is another database's."""
    async with async_sessionmaker(engine).begin() as session:
        probe = await session.get(Setting, "key")
        if probe is None:
            session.add(Setting(key="key", value=sealer.seal("opx", KEY_PROBE).hex()))
        else:
            sealer.open(bytes.fromhex(probe.value), KEY_PROBE)
