"""Firmware on disk, and what is known of it in the database. No file is served that was not taken in whole."""

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from opx.store.engine import for_reading
from opx.store.notices import AnnouncingSession
from opx.suite.firmware import head
from opx.suite.firmware.models import Firmware
from opx.suite.sites.records import Missing, SiteError

CHUNK = 1024 * 1024

Read = Callable[[int], Awaitable[bytes]]
"""Gives the next bytes of a file, b"" at its end."""


@dataclass(frozen=True, slots=True)
class FirmwareRecord:
    """`added_at` in seconds since 1970. `there`: the file is on disk still."""

    id: int
    model: str
    version: str
    size: int
    digest: str
    added_at: float
    added_by: str
    active: bool
    there: bool = True

    @property
    def file_name(self) -> str:
        """In the folder."""
        return f"{self.model}-{self.version}.st"


class FirmwareStore:
    """`folder` is made when it is needed; `most` bytes of one file are taken."""

    def __init__(self, engine: AsyncEngine, folder: Path, most: int, clock: Callable[[], float] = time.time) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, sync_session_class=AnnouncingSession)
        self._reading = async_sessionmaker(for_reading(engine), expire_on_commit=False)
        self._folder = folder
        self._most = most
        self._clock = clock

    async def all(self) -> list[FirmwareRecord]:
        """By model, the newest first."""
        query = select(Firmware).order_by(Firmware.model, Firmware.added_at.desc(), Firmware.id.desc())
        async with self._reading() as session:
            records = [_record(row) for row in await session.scalars(query)]
        return await asyncio.to_thread(self._looked_at, records)

    async def active(self, model: str | None = None) -> list[FirmwareRecord]:
        """What phones are given, of all models or of one."""
        query = select(Firmware).where(Firmware.active)
        async with self._reading() as session:
            rows = await session.scalars(query if model is None else query.where(Firmware.model == model))
            return [_record(row) for row in rows]

    async def firmware(self, firmware_id: int) -> FirmwareRecord:
        """Missing."""
        async with self._reading() as session:
            return _record(await _row(session, firmware_id))

    def path(self, record: FirmwareRecord) -> Path:
        return self._folder / record.file_name

    async def add(self, read: Read, name: str, model: str, version: str, who: str) -> FirmwareRecord:
        """Take a file in, which was called `name`; `model` and `version` "" are read from name and file. SiteError,
        and nothing stays of it. The first one of a model is active at once."""
        model = _checked(model or head.model_in(name), head.model_typed, "model")
        await asyncio.to_thread(self._folder.mkdir, mode=0o750, parents=True, exist_ok=True)
        part = self._folder / f".{os.urandom(8).hex()}.part"
        try:
            size, digest, found = await self._write(part, read)
            version = _checked(version or found, head.version_typed, "version")
            if found and found != version:
                raise SiteError(f"the file itself says that it is {found}", "version")
            return await self._keep(part, Firmware(model=model, version=version, size=size, digest=digest), who)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def activate(self, firmware_id: int, active: bool = True) -> FirmwareRecord:
        """Give it to all phones of its model, in the place of the one before; or to none any more. Missing."""
        async with self._writing() as session:
            row = await _row(session, firmware_id)
            await session.execute(update(Firmware).where(Firmware.model == row.model).values(active=False))
            await session.flush()
            row.active = active
            await session.execute(update(Firmware).where(Firmware.id == firmware_id).values(active=active))
            return _record(row)

    async def delete(self, firmware_id: int) -> FirmwareRecord:
        """SiteError while it is active; Missing."""
        async with self._writing() as session:
            row = await _row(session, firmware_id)
            record = _record(row)
            if row.active:
                raise SiteError("phones are given this one; deactivate it first")
            await session.delete(row)
        await asyncio.to_thread(self.path(record).unlink, missing_ok=True)
        return record

    # --- helpers

    async def _write(self, part: Path, read: Read) -> tuple[int, str, str]:
        """Size, SHA-256 and the version that the head says."""
        digest, size, start = hashlib.sha256(), 0, b""
        file: BinaryIO = await asyncio.to_thread(_create, part)
        try:
            while data := await read(CHUNK):
                size += len(data)
                if size > self._most:
                    raise SiteError(f"expected a file of at most {self._most} bytes", "file")
                if len(start) < head.HEAD_BYTES:
                    start += data[: head.HEAD_BYTES]
                digest.update(data)
                await asyncio.to_thread(file.write, data)
            await asyncio.to_thread(_finish, file)
        finally:
            file.close()
        if not size:
            raise SiteError("the file is empty", "file")
        return size, digest.hexdigest(), head.version_in(start)

    async def _keep(self, part: Path, row: Firmware, who: str) -> FirmwareRecord:
        async with self._writing() as session:
            same = select(Firmware).where(Firmware.model == row.model, Firmware.version == row.version)
            if await session.scalar(same) is not None:
                raise SiteError(f"there is {row.version} for {row.model} already", "version")
            first = await session.scalar(select(Firmware.id).where(Firmware.model == row.model).limit(1)) is None
            row.added_at, row.added_by, row.active = self._clock(), who[:64], first
            session.add(row)
            await session.flush()
            record = _record(row)
            await asyncio.to_thread(part.replace, self.path(record))
            return record

    def _looked_at(self, records: Sequence[FirmwareRecord]) -> list[FirmwareRecord]:
        """With whether the files are there, whole."""
        found = []
        for record in records:
            size = -1
            with contextlib.suppress(OSError):
                size = self.path(record).stat().st_size
            found.append(record if size == record.size else _absent(record))
        return found

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._sessions.begin() as session:
                yield session
        except IntegrityError:
            raise SiteError("there is this version for this model already", "version") from None


def _checked(text: str, check: Callable[[str], str], field: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise SiteError(str(error), field) from None


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640), "wb")


def _finish(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _row(session: AsyncSession, firmware_id: int) -> Firmware:
    row = await session.get(Firmware, firmware_id)
    if row is None:
        raise Missing("there is no such firmware")
    return row


def _record(row: Firmware) -> FirmwareRecord:
    return FirmwareRecord(row.id, row.model, row.version, row.size, row.digest, row.added_at, row.added_by, row.active)


def _absent(record: FirmwareRecord) -> FirmwareRecord:
    return dataclasses.replace(record, there=False)
