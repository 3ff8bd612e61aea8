"""What a phone was told outlives the process that told it."""

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from opx.gateway.journal import BindingRow, IcpBindingRow
from opx.gateway.repository import Repository
from opx.gateway.spool import Spool
from opx.gateway.writer import WriteBehind
from support.gateway_store import SPEC, opened, with_icp

ROW = BindingRow(1, "sip:tw1@192.0.2.9", "<urn:1>", "UDP", "192.0.2.9", 5062, "call", 1, "Phone/1", 1000.25, 1120.5)
ICP_ROW = IcpBindingRow(1, "c", 7, 4600.125)


def opened_spool(folder: Path, **options: int) -> Spool:
    spool = Spool(folder / "gateway.spool", **options)
    assert spool.load() == ({}, {})
    return spool


def left(folder: Path) -> tuple[dict[tuple[int, str], BindingRow | None], dict[int, IcpBindingRow | None]]:
    """What the next process finds."""
    return Spool(folder / "gateway.spool").load()


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in sorted(folder.glob("gateway.spool.*"))]


def test_the_newest_states_are_found_by_the_next_process(tmp_path: Path) -> None:
    spool = opened_spool(tmp_path)
    spool.add_binding(1, ROW.contact, ROW)
    spool.keep()
    spool.add_binding(1, ROW.contact, replace(ROW, cseq=2))
    spool.keep()
    spool.add_binding(2, "sip:gone@h", None)
    spool.keep()
    spool.add_icp_binding(1, None)
    spool.keep()
    spool.add_icp_binding(1, ICP_ROW)
    spool.keep()
    spool.add_icp_binding(2, None)
    spool.keep()

    assert left(tmp_path) == (
        {(1, ROW.contact): replace(ROW, cseq=2), (2, "sip:gone@h"): None},
        {1: ICP_ROW, 2: None},
    )
    (path,) = tmp_path.glob("gateway.spool.*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_the_database_has_is_left_out_and_what_came_meanwhile_is_kept(tmp_path: Path) -> None:
    spool = opened_spool(tmp_path)
    spool.add_binding(1, ROW.contact, ROW)
    spool.keep()
    turned = spool.turn()
    later = replace(ROW, device_id=2)
    spool.add_binding(2, ROW.contact, later)
    spool.keep()

    assert set(left(tmp_path)[0]) == {(1, ROW.contact), (2, ROW.contact)}
    spool.written(turned)

    assert left(tmp_path) == ({(2, ROW.contact): later}, {})
    spool.written(spool.turn())
    assert sizes(tmp_path) == []


@given(st.integers(min_value=0))
def test_a_record_that_was_cut_off_is_no_record_and_spoils_none(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spool = opened_spool(folder)
        spool.add_binding(1, ROW.contact, ROW)
        spool.keep()
        whole = sizes(folder)[0]
        spool.add_binding(1, ROW.contact, replace(ROW, cseq=2))
        spool.keep()
        spool.close()
        (path,) = folder.glob("gateway.spool.*")
        os.truncate(path, whole + cut % (path.stat().st_size - whole))

        assert left(folder) == ({(1, ROW.contact): ROW}, {})


JUNK = [b"\0" * 100, b"{}", b'[["binding",1]]', b'[["else",1,2]]', b"[]", b"[[]]", b'[["gone",1]]', b"7", b"\xff"]


@pytest.mark.parametrize("junk", JUNK)
def test_records_that_cannot_be_read_are_passed_over_and_said(
    tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gateway.spool.7").write_bytes(b'[["gone",1,"a"]]\n' + junk + b'\n[["gone",2,"b"]]\n')

    assert left(tmp_path) == ({(1, "a"): None, (2, "b"): None}, {})
    assert "1 records cannot be read" in caplog.text


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_of_a_message_comes_back(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        row = replace(ROW, contact=text, call_id=text)
        spool = opened_spool(Path(name))
        spool.add_binding(1, text, row)
        spool.keep()
        assert left(Path(name)) == ({(1, text): row}, {})


def test_while_the_database_is_away_the_file_stays_small(tmp_path: Path) -> None:
    spool = opened_spool(tmp_path, max_bytes=2000)
    newest: dict[tuple[int, str], BindingRow | None] = {}
    for cseq in range(200):
        for device_id in (1, 2):
            row = replace(ROW, device_id=device_id, cseq=cseq)
            newest[device_id, ROW.contact] = row
            spool.add_binding(device_id, ROW.contact, row)
            spool.keep()
        spool.turn()
        spool.bound(newest, {1: ICP_ROW})
        assert sum(sizes(tmp_path)) < 3000

    assert left(tmp_path)[0] == newest


def test_a_full_disk_is_said_once_and_harms_no_registration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened_spool(tmp_path)
    spool.add_binding(1, "first", ROW)
    spool.keep()
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def half(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[: len(data) // 2])

    for broken in (full, half, full):
        monkeypatch.setattr(os, "write", broken)
        spool.add_binding(1, "lost", ROW)
        spool.keep()
        assert spool.failure
    monkeypatch.setattr(os, "write", real)
    spool.add_binding(1, "last", ROW)
    spool.keep()

    assert not spool.failure
    assert caplog.text.count("registrations are not kept until the database has them") == 1
    assert {contact for _, contact in left(tmp_path)[0]} >= {ROW.contact}


class Failing(Repository):
    """A database that is away."""

    def __init__(self) -> None:
        pass

    async def write(self, **rows: object) -> None:
        raise OperationalError("INSERT", {}, Exception("away"))


async def test_a_process_that_was_killed_before_it_wrote_has_lost_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        killed = WriteBehind(Failing(), spool=opened_spool(tmp_path))
        killed.save_binding(replace(ROW, device_id=device.id))
        killed.save_icp_binding(replace(ICP_ROW, device_id=device.id))
        killed.save_binding(replace(ROW, device_id=device.id, contact="sip:off@h"))
        killed.delete_binding(device.id, "sip:off@h")
        with pytest.raises(OperationalError):
            await killed.flush()

        after = WriteBehind(repository, spool=Spool(tmp_path / "gateway.spool"))
        await after.take_over()

        assert await repository.bindings() == [replace(ROW, device_id=device.id)]
        assert await repository.icp_bindings() == [replace(ICP_ROW, device_id=device.id)]
        assert sizes(tmp_path) == []
        after.save_binding(replace(ROW, device_id=device.id, cseq=5))
        after.keep()
        assert sizes(tmp_path) != []
        await after.stop()
        assert sizes(tmp_path) == []
        assert [row.cseq for row in await repository.bindings()] == [5]
