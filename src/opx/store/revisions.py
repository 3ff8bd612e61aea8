"""Which revisions a program's migrations are, and at which one its database is, without loading what runs them.

A program asks at every start, and nearly always there is nothing to run.
"""

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

VERSION_TABLE = "alembic_version"

_REVISION = re.compile(r"^revision = [\"'](\w+)[\"']", re.M)
_BEFORE = re.compile(r"^down_revision = [\"'](\w+)[\"']", re.M)


def revisions_in(scripts: Path) -> list[str]:
    """From the first to the last; each migration names the one before it. ValueError when they are no chain."""
    after: dict[str, str] = {}
    for path in (scripts / "versions").glob("*.py"):
        script = path.read_text()
        revision, before = _REVISION.search(script), _BEFORE.search(script)
        if revision is not None:
            after[before[1] if before else ""] = revision[1]
    chain: list[str] = []
    while (following := after.pop(chain[-1] if chain else "", "")) != "":
        chain.append(following)
    if after:
        raise ValueError(f"{scripts}: the migrations after {', '.join(sorted(after))} belong to no chain")
    return chain


def revision_of(connection: Connection) -> str:
    """Which migration the database is at; "" when it has none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return str(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() or "")
