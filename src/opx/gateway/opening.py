"""The gateway's database with its key: the one way in, for each of its processes and commands."""

from opx.gateway.repository import Repository
from opx.gateway.settings import GatewaySettings
from opx.store.engine import is_new, open_engine
from opx.store.secrets import Sealer, load_key


async def load_database_key(settings: GatewaySettings) -> bytes:
    """The key that belongs to the database; made only with a database that is not there yet. SecretsError,
    DatabaseUnusable."""
    return load_key(settings.key_file, create=await is_new(settings.database_place))


async def open_repository(settings: GatewaySettings) -> tuple[Repository, str]:
    """The repository, up to date, and the digest realm; to be closed by the caller.

    SecretsError, DatabaseTooNew, DatabaseUnusable.
    """
    sealer = Sealer(await load_database_key(settings))
    repository = Repository(open_engine(settings.database_place), sealer)
    try:
        return repository, await repository.open(settings.digest.realm)
    except BaseException:
        await repository.close()
        raise
