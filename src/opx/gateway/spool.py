"""Registrations on their way to the database, in a file that outlives this process.

A phone is told that it is registered before the database has it: no database stands on a message's way. What it was
told is here first, by one short write that the kernel keeps whatever becomes of the process, until it is committed:
one for all that was told in the same moment, before any of it is told.
"""

import json
import logging
import os
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from opx.gateway.journal import BindingRow, IcpBindingRow

MAX_BYTES = 8 * 1024 * 1024
"""Size from which a spool is written anew with the newest states only: while the database is away, phones go on."""

Bindings = dict[tuple[int, str], BindingRow | None]
IcpBindings = dict[int, IcpBindingRow | None]
"""States by their keys; None: gone."""
_BINDING = attrgetter(*BindingRow.__slots__)
_ICP_BINDING = attrgetter(*IcpBindingRow.__slots__)
_encode = json.JSONEncoder(separators=(",", ":")).encode

log = logging.getLogger(__name__)


class Spool:
    """`load` first; then `add_binding` and `add_icp_binding` for each state, `keep` before anybody is told of them,
    `turn` when a write to the database begins, and `written` when it is done.

    One file for what came between two turns, `path` with a number behind it. A file that cannot be written is said
    once; nothing else depends on it.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.failure = ""
        """Why states are not kept here at present; "" when they are."""
        self._path = path
        self._max_bytes = max_bytes
        self._number = 0
        self._file = -1
        self._torn = False
        self._sizes: dict[int, int] = {}
        self._added: list[Sequence[object]] = []

    def load(self) -> tuple[Bindings, IcpBindings]:
        """What a process that ended before it was written has left, the newest states. OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        bindings: Bindings = {}
        icp_bindings: IcpBindings = {}
        for number, path in self._files():
            data = path.read_bytes()
            self._number = number
            self._sizes[number] = len(data)
            # A line without an end was being written when the process was killed; nobody was told of it.
            whole, _, _ = data.rpartition(b"\n")
            unread = sum(not _take(line, bindings, icp_bindings) for line in whole.splitlines() if line)
            if unread:
                log.warning("%s: %d records cannot be read and are passed over", path, unread)
        return bindings, icp_bindings

    def close(self) -> None:
        self.keep()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def add_binding(self, device_id: int, contact: str, row: BindingRow | None) -> None:
        self._added.append(["gone", device_id, contact] if row is None else ["binding", *_BINDING(row)])

    def add_icp_binding(self, device_id: int, row: IcpBindingRow | None) -> None:
        self._added.append(["icp gone", device_id] if row is None else ["icp binding", *_ICP_BINDING(row)])

    def turn(self) -> int:
        """What is added from now on is of the next write. Returns what to give to `written`."""
        self.close()
        return self._number

    def written(self, turned: int) -> None:
        """The database has everything from before that turn."""
        for number in [number for number in self._sizes if number <= turned]:
            self._name(number).unlink(missing_ok=True)
            del self._sizes[number]

    def bound(self, bindings: Bindings, icp_bindings: IcpBindings) -> None:
        """After a write that failed, with all states that wait for the next: when the files have become large, keep
        these alone."""
        if sum(self._sizes.values()) <= self._max_bytes:
            return
        before = self.turn()
        for (device_id, contact), binding in bindings.items():
            self.add_binding(device_id, contact, binding)
        for device_id, icp_binding in icp_bindings.items():
            self.add_icp_binding(device_id, icp_binding)
        self.keep()
        if not self.failure:
            self.written(before)

    def keep(self) -> None:
        """Write what was added: from now on it outlives this process."""
        if not self._added:
            return
        added, self._added = self._added, []
        line = _encode(added).encode() + b"\n"
        try:
            if self._file < 0:
                self._open()
            if self._torn:
                line = b"\n" + line
            self._torn = True
            if os.write(self._file, line) == len(line):
                self._torn = False
                self.failure = ""
                self._sizes[self._number] += len(line)
                return
            problem = "no space left"
        except OSError as error:
            problem = error.strerror or str(error)
        if not self.failure:
            log.error("%s: registrations are not kept until the database has them: %s", self._path, problem)
        self.failure = problem

    def _open(self) -> None:
        number = self._number + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._name(number), flags, 0o600)
        self._number = number
        self._torn = False
        self._sizes[number] = 0

    def _name(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _files(self) -> Iterable[tuple[int, Path]]:
        """In the order in which they were written."""
        found = {}
        for path in self._path.parent.iterdir():
            number = path.name.removeprefix(f"{self._path.name}.")
            if number != path.name and number.isascii() and number.isdigit():
                found[int(number)] = path
        return sorted(found.items())


def _take(line: bytes, bindings: Bindings, icp_bindings: IcpBindings) -> bool:
    """Whether the line holds records alone; their states are in the others then."""
    try:
        records = json.loads(line)
        return bool(records) and all(_take_one(record, bindings, icp_bindings) for record in records)
    except (ValueError, TypeError):
        return False


def _take_one(record: Sequence[Any], bindings: Bindings, icp_bindings: IcpBindings) -> bool:
    kind, *values = record
    match kind:
        case "binding":
            row = BindingRow(*values)
            bindings[row.device_id, row.contact] = row
        case "gone":
            device_id, contact = values
            bindings[device_id, contact] = None
        case "icp binding":
            icp_row = IcpBindingRow(*values)
            icp_bindings[icp_row.device_id] = icp_row
        case "icp gone":
            (device_id,) = values
            icp_bindings[device_id] = None
        case _:
            return False
    return True
