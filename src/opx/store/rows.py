"""All rows of a database as text, and back: the same for every kind of database, and for each of its versions.

The tables are read off the database itself, not off a program's models, so a dump of an older release loads into the
tables of that release, and migrations do the rest.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, MetaData, Table, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from opx.store.revisions import VERSION_TABLE

CHUNK = 500
"""Rows in one statement."""


class RowsError(Exception):
    """A dump cannot be read; the text says where."""


def tables_of(connection: Connection) -> list[Table]:
    """All tables but the one with the version, those that others refer to first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != VERSION_TABLE]


async def dump(connection: AsyncConnection) -> AsyncIterator[str]:
    """A line of JSON per row, in the connection's transaction, which should be one that sees one state."""
    for table in await connection.run_sync(tables_of):
        names = [column.name for column in table.columns]
        result = await connection.stream(select(table).order_by(*table.primary_key))
        async for row in result:
            yield json.dumps([table.name, dict(zip(names, map(_encoded, row), strict=True))], ensure_ascii=True)


def load(connection: Connection, lines: Iterable[str]) -> int:
    """Insert what `dump` gave into the empty tables of the same version; returns how many rows. RowsError."""
    tables = {table.name: table for table in tables_of(connection)}
    count = 0
    for name, rows in _chunks(lines):
        table = tables.get(name)
        if table is None:
            raise RowsError(f"there is no table {name} in this version")
        if any(row.keys() - table.columns.keys() for row in rows):
            raise RowsError(f"table {name} has other columns in this version")
        connection.execute(insert(table), rows)
        count += len(rows)
    return count


def sequences_of(connection: Connection) -> dict[str, int]:
    """The highest id that each table has given, rows that are gone among them: none is ever given again."""
    if connection.dialect.name == "sqlite":
        if connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")).first() is None:
            return {}
        return {str(row[0]): int(row[1]) for row in connection.execute(text("SELECT name, seq FROM sqlite_sequence"))}
    found = {}
    for table, sequence in _serials(connection):
        number = connection.execute(text(f"SELECT CASE WHEN is_called THEN last_value END FROM {sequence}")).scalar()
        if number is not None:
            found[table] = int(number)
    return found


def set_sequences(connection: Connection, numbers: dict[str, int]) -> None:
    """After `load`: ids go on behind those given and those that are there."""
    if connection.dialect.name == "sqlite":
        kept = sequences_of(connection)
        for table, number in numbers.items():
            if table in kept:
                change = text("UPDATE sqlite_sequence SET seq = max(seq, :number) WHERE name = :name")
                connection.execute(change, {"number": number, "name": table})
            elif _autoincrements(connection, table):
                change = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)")
                connection.execute(change, {"number": number, "name": table})
        return
    for table, sequence in _serials(connection):
        highest = connection.execute(text(f'SELECT max(id) FROM "{table}"')).scalar() or 0
        number = max(highest, numbers.get(table, 0))
        if number:
            connection.execute(text(f"SELECT setval('{sequence}', {int(number)})"))


def drop_all(connection: Connection) -> None:
    """Every table of the database, that with the version, too."""
    metadata = MetaData()
    metadata.reflect(connection)
    metadata.drop_all(connection)


def _serials(connection: Connection) -> Iterator[tuple[str, str]]:
    for table in tables_of(connection):
        if "id" in table.columns:
            query = text("SELECT pg_get_serial_sequence(:table, 'id')")
            sequence = connection.execute(query, {"table": f'"{table.name}"'}).scalar()
            if sequence is not None:
                yield table.name, str(sequence)


def _autoincrements(connection: Connection, table: str) -> bool:
    query = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    return "AUTOINCREMENT" in str(connection.execute(query, {"name": table}).scalar() or "").upper()


def _chunks(lines: Iterable[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Rows of one table at a time."""
    current = ""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            name, row = json.loads(line)
            decoded = {column: _decoded(value) for column, value in row.items()}
        except (ValueError, TypeError, AttributeError):
            raise RowsError(f"line {number} of the rows cannot be read") from None
        if rows and (name != current or len(rows) == CHUNK):
            yield current, rows
            rows = []
        current = name
        rows.append(decoded)
    if rows:
        yield current, rows


def _encoded(value: Any) -> Any:
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _decoded(value: Any) -> Any:
    return base64.b64decode(value["bytes"], validate=True) if isinstance(value, dict) else value
