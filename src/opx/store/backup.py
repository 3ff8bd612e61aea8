"""A program in one file: database, key, settings, certificates and what else it names, while it runs or does not."""

# ruff: noqa: ASYNC240 - a command of its own: nothing else waits for its event loop

import asyncio
import datetime
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from opx import __version__
from opx.store.archive import write_archive
from opx.store.engine import for_reading, is_new, is_postgresql, open_engine
from opx.store.errors import DatabaseUnusable
from opx.store.place import Place
from opx.store.revisions import revision_of
from opx.store.rows import dump, sequences_of
from opx.store.secrets import Sealer

ROWS = "database/rows.jsonl"
SETTINGS = "settings.toml"
CERTIFICATES = "certificates/"


def _nothing() -> Iterable[Path]:
    return ()


@dataclass(frozen=True)
class Holdings:
    """What a program has, by its settings. `program` is its command, such as "opx gateway".

    `files` are further ones by their names in an archive, None where the settings name none. `counted` are the tables
    whose rows are told after a restore. `check_key` raises SecretsError when a key is not the database's. `socket` is
    where a running program answers; `leftovers` are files that belong to the database that was there before.
    """

    program: str
    place: Place
    key_file: Path
    key_name: str
    certificates: Path
    migrations: Path
    counted: tuple[str, ...]
    check_key: Callable[[Connection, Sealer], None]
    socket: Path
    files: Mapping[str, Path | None] = field(default_factory=dict)
    leftovers: Callable[[], Iterable[Path]] = _nothing

    def present_files(self) -> dict[str, Path]:
        """The certificates and further files that there are, by their names in an archive."""
        there = sorted(self.certificates.glob("*"))
        found = {CERTIFICATES + path.name: path for path in there if path.suffix in (".pem", ".key")}
        return found | {name: path for name, path in self.files.items() if path is not None and path.exists()}


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What went into an archive."""

    rows: int
    files: tuple[str, ...]
    revision: str


async def back_up(holdings: Holdings, config: Path, target: Path, passphrase: str | None) -> BackedUp:
    """Write `target`, for its owner only. The database is read in one transaction, so all of it is of one moment.

    Rows are kept as text that any database of the program takes, with the revision that they are of: a backup of SQLite
    restores to PostgreSQL and the other way, and one of an older release to a newer one. DatabaseUnusable, OSError; an
    existing file is not replaced.
    """
    if await asyncio.to_thread(target.exists):
        raise OSError(f"{target} is there already; expected the name of a new file")
    if await is_new(holdings.place):
        raise DatabaseUnusable(f"{holdings.place}: there is no database yet, nothing to back up")
    with tempfile.TemporaryDirectory(prefix=".opx-backup-", dir=target.absolute().parent) as folder:
        rows = Path(folder) / "rows"
        count, about = await _write_rows(holdings, rows)
        files = {SETTINGS: config, holdings.key_name: holdings.key_file, ROWS: rows, **holdings.present_files()}
        await asyncio.to_thread(write_archive, target, about, files, passphrase)
    return BackedUp(count, tuple(files), str(about["revision"]))


async def _write_rows(holdings: Holdings, target: Path) -> tuple[int, dict[str, Any]]:
    engine = open_engine(holdings.place)
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
        "program": holdings.program,
        "version": __version__,
        "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "database": "postgresql" if is_postgresql(engine) else "sqlite",
        "revision": revision,
        "sequences": sequences,
        "rows": count,
    }
    return count, about
