"""The firmware library: what a file says of itself, and files on disk beside the database."""

import hashlib
import io
from pathlib import Path

import pytest

from opx.suite.firmware.head import HEAD_BYTES, model_in, model_typed, version_in, version_typed
from opx.suite.firmware.store import FirmwareStore, Read
from opx.suite.sites.records import Missing, SiteError
from opx.suite.sites.repository import SiteRepository
from support.suite_store import open_suite

NAMED = b"\x7fIMG\0Mitel6930\0 V6.4.0.140-SIP\0" + bytes(3000)
BARE = b"\x7fIMG" + bytes(3000)


def reading(data: bytes) -> Read:
    stream = io.BytesIO(data)

    async def read(size: int) -> bytes:
        return stream.read(min(size, 1000))

    return read


def library(sites: SiteRepository, folder: Path, most: int = 1_000_000) -> FirmwareStore:
    return FirmwareStore(sites.engine, folder / "firmware", most, lambda: 1_700_000_000.0)


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (NAMED, "6.4.0.140-SIP"),
        (b"5.1.0.1024-SIP", "5.1.0.1024-SIP"),
        (b"1.2.3.4.5-SIP 6.4.0.140-SIPX", ""),
        (bytes(HEAD_BYTES) + b"6.4.0.140-SIP", ""),
        (b"", ""),
    ],
)
def test_the_head_of_a_file_tells_its_version(data: bytes, version: str) -> None:
    assert version_in(data) == version


def test_names_and_versions_as_people_write_them() -> None:
    assert [model_in(name) for name in ("6930.st", "Mitel6930_6.4.st", "6867i.ST", "setup.exe", "6930.stx")] == [
        "6930", "6930", "6867i", "", "",
    ]  # fmt: skip
    assert version_typed("6.4.0.140") == version_typed("6.4.0.140-SIP") == "6.4.0.140-SIP"
    assert model_typed("Mitel6930") == "6930"
    for check, text in ((version_typed, "latest"), (version_typed, "../6.4.0.1"), (model_typed, "../etc")):
        with pytest.raises(ValueError):
            check(text)


@pytest.mark.usefixtures("each_database")
async def test_a_file_is_taken_in_whole_and_the_first_of_a_model_is_active(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        store = library(sites, tmp_path)
        first = await store.add(reading(NAMED), "6930.st", "", "", "ada")
        assert (first.model, first.version, first.size, first.active) == ("6930", "6.4.0.140-SIP", len(NAMED), True)
        assert first.digest == hashlib.sha256(NAMED).hexdigest() and store.path(first).read_bytes() == NAMED
        second = await store.add(reading(BARE), "6930.st", "", "6.5.0.1", "ada")
        assert not second.active and [record.id for record in await store.active("6930")] == [first.id]
        await store.activate(second.id)
        assert [record.id for record in await store.active()] == [second.id]
        with pytest.raises(SiteError, match="deactivate it first"):
            await store.delete(second.id)
        await store.delete(first.id)
        assert sorted(path.name for path in (tmp_path / "firmware").iterdir()) == ["6930-6.5.0.1-SIP.st"]
        store.path(second).unlink()
        assert [(record.id, record.there) for record in await store.all()] == [(second.id, False)]
        await store.activate(second.id, False)
        assert await store.active() == []
        with pytest.raises(Missing):
            await store.activate(first.id)


@pytest.mark.parametrize(
    ("data", "name", "version", "said", "field"),
    [
        (BARE, "6930.st", "", "expected a version", "version"),
        (NAMED, "6930.st", "6.3.0.1", "the file itself says that it is 6.4.0.140-SIP", "version"),
        (NAMED, "firmware.bin", "", "expected a model", "model"),
        (NAMED + bytes(20_000), "6930.st", "", "at most 10000 bytes", "file"),
        (b"", "6930.st", "6.4.0.140", "empty", "file"),
    ],
)
async def test_a_file_that_cannot_be_taken_leaves_nothing(
    tmp_path: Path, data: bytes, name: str, version: str, said: str, field: str
) -> None:
    async with open_suite(tmp_path) as sites:
        store = library(sites, tmp_path, most=10_000)
        with pytest.raises(SiteError, match=said) as raised:
            await store.add(reading(data), name, "", version, "ada")
        assert raised.value.field == field and await store.all() == []
        folder = tmp_path / "firmware"
        assert not folder.exists() or list(folder.iterdir()) == []


async def test_the_same_version_is_taken_once(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        store = library(sites, tmp_path)
        await store.add(reading(NAMED), "6930.st", "", "", "ada")
        with pytest.raises(SiteError, match="already"):
            await store.add(reading(NAMED), "6930.st", "", "", "ada")
        assert await store.add(reading(NAMED), "6930.st", "6940", "", "ada")
        assert len(list((tmp_path / "firmware").iterdir())) == 2
