"""The gateway in one file: database, key, settings, certificates and import file, while it runs or does not."""

# ruff: noqa: ASYNC240 - a command of its own: nothing else waits for its event loop

import asyncio
import datetime
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opx import __version__
from opx.gateway.settings import GatewaySettings
from opx.store.archive import write_archive
from opx.store.engine import for_reading, is_new, is_postgresql, open_engine
from opx.store.errors import DatabaseUnusable
from opx.store.revisions import revision_of
from opx.store.rows import dump, sequences_of

ROWS = "database/rows.jsonl"
SETTINGS = "settings.toml"
KEY = "gateway.key"
IMPORT = "import.toml"
CHAIN, CHAIN_KEY = "own/chain.pem", "own/key.pem"
CERTIFICATES = "certificates/"


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What went into an archive."""

    rows: int
    files: tuple[str, ...]
    revision: str


async def back_up(settings: GatewaySettings, config: Path, target: Path, passphrase: str | None) -> BackedUp:
    """Write `target`, for its owner only. The database is read in one transaction, so all of it is of one moment.

    Rows are kept as text that any database of the gateway takes, with the revision that they are of: a backup of SQLite
    restores to PostgreSQL and the other way, and one of an older release to a newer one. DatabaseUnusable, OSError; an
    existing file is not replaced.
    """
    if await asyncio.to_thread(target.exists):
        raise OSError(f"{target} is there already; expected the name of a new file")
    if await is_new(settings.database_place):
        raise DatabaseUnusable(f"{settings.database_place}: there is no database yet, nothing to back up")
    with tempfile.TemporaryDirectory(prefix=".opx-backup-", dir=target.absolute().parent) as folder:
        rows = Path(folder) / "rows"
        count, about = await _write_rows(settings, rows)
        files = {SETTINGS: config, KEY: settings.key_file, ROWS: rows, **files_of(settings)}
        await asyncio.to_thread(write_archive, target, about, files, passphrase)
    return BackedUp(count, tuple(files), str(about["revision"]))


def files_of(settings: GatewaySettings) -> dict[str, Path]:
    """The further files that there are, by their names in an archive."""
    folder, own = settings.certificates.folder, settings.certificates
    found = {CERTIFICATES + path.name: path for path in sorted(folder.glob("*")) if path.suffix in (".pem", ".key")}
    for name, path in ((IMPORT, settings.import_file), (CHAIN, own.chain), (CHAIN_KEY, own.key)):
        if path is not None and path.exists():
            found[name] = path
    return found


async def _write_rows(settings: GatewaySettings, target: Path) -> tuple[int, dict[str, Any]]:
    engine = open_engine(settings.database_place)
    count = 0
    try:
        async with for_reading(engine).connect() as connection, connection.begin():
            revision = await connection.run_sync(revision_of)
            sequences = await connection.run_sync(sequences_of)
            with target.open("w", encoding="utf-8") as file:
                async for line in dump(connection):
                    file.write(line + "\n")
                    count += 1
    finally:
        await engine.dispose()
    about = {
        "program": "opx gateway",
        "version": __version__,
        "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "database": "postgresql" if is_postgresql(engine) else "sqlite",
        "revision": revision,
        "sequences": sequences,
        "rows": count,
    }
    return count, about
