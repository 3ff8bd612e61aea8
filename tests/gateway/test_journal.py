"""Bindings and timelines as they are kept for the next start."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opx.gateway.journal import MAX_DEVICE_ENTRIES, BindingRow, IcpBindingRow, TimelineRow, storable
from opx.gateway.records import IcpSpec
from support.gateway_store import SPEC, opened, with_icp

pytestmark = pytest.mark.usefixtures("each_database")


def binding(device_id: int, contact: str = "sip:tw1@192.0.2.9", **changes: object) -> BindingRow:
    row = BindingRow(device_id, contact, "", "UDP", "192.0.2.9", 5062, "call", 1, "Phone/1", 1000.0, 1120.0)
    return replace(row, **changes)  # type: ignore[arg-type]


async def test_bindings_come_back_as_they_were(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        rows = [binding(device.id), binding(device.id, "sip:tw1@192.0.2.10", instance="<urn:uuid:1>")]
        await repository.write(bindings=rows, icp_bindings=[IcpBindingRow(device.id, "c", 7, 4600.0)])

        assert await repository.bindings() == rows
        assert await repository.icp_bindings() == [IcpBindingRow(device.id, "c", 7, 4600.0)]

        newer = binding(device.id, cseq=2, expires_at=2000.0)
        gone = (device.id, "sip:tw1@192.0.2.10")
        await repository.write(bindings=[newer], gone=[gone], icp_bindings=[IcpBindingRow(device.id, "c", 8, 5000.0)])

        assert await repository.bindings() == [newer]
        assert await repository.icp_bindings() == [IcpBindingRow(device.id, "c", 8, 5000.0)]

        await repository.write(gone=[(device.id, newer.contact)], icp_gone=[device.id])

        assert (await repository.bindings(), await repository.icp_bindings()) == ([], [])


async def test_rows_of_a_removed_device_are_passed_over_and_the_others_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        ghost = device.id + 1
        await repository.write(
            bindings=[binding(ghost), binding(device.id)],
            icp_bindings=[IcpBindingRow(ghost, "c", 1, 1.0)],
            timeline=[TimelineRow(ghost, 1.0, "call", "x"), TimelineRow(device.id, 1.0, "call", "y")],
        )

        assert await repository.bindings() == [binding(device.id)]
        assert await repository.icp_bindings() == []
        assert [row.text for row in await repository.timeline(device.id)] == ["y"]


async def test_a_removed_device_takes_its_rows_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        await repository.write(
            bindings=[binding(device.id)],
            icp_bindings=[IcpBindingRow(device.id, "c", 1, 1.0)],
            timeline=[TimelineRow(device.id, 1.0, "call", "y")],
        )

        await repository.remove_device("tw1")

        assert (await repository.bindings(), await repository.icp_bindings()) == ([], [])
        assert await repository.timeline(device.id) == []


async def test_bytes_that_are_no_text_do_not_stop_a_batch(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        odd = binding(device.id, "sip:\udcff@192.0.2.9", user_agent="Phone\udc80" + "x" * 300, call_id="nul\0")
        plain = binding(device.id)
        await repository.write(bindings=[odd, plain], timeline=[TimelineRow(device.id, 1.0, "call", "\udcff" * 600)])

        kept = {row.contact: row for row in await repository.bindings()}
        assert set(kept) == {"sip:\\udcff@192.0.2.9", plain.contact}
        assert kept["sip:\\udcff@192.0.2.9"].call_id == "nul\\x00"
        assert len(kept["sip:\\udcff@192.0.2.9"].user_agent) == 255

        await repository.write(gone=[(device.id, odd.contact)])

        assert await repository.bindings() == [plain]


async def test_a_binding_too_long_for_a_database_is_left_out_and_the_others_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        longest = binding(device.id, "é" * 512, instance="i" * 255, call_id="c" * 255)
        await repository.write(
            bindings=[
                longest,
                binding(device.id, "c" * 513),
                binding(device.id, "one", instance="i" * 256),
                binding(device.id, "two", call_id="c" * 256),
            ]
        )

        assert await repository.bindings() == [longest]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=())))
def test_any_text_of_a_message_can_be_stored(text: str) -> None:
    kept = storable(text)

    assert "\0" not in kept
    assert kept.encode("utf-8").decode("utf-8") == kept
    assert storable(kept) == kept


async def test_two_contacts_that_are_stored_alike_leave_the_last(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)

        await repository.write(
            bindings=[binding(device.id, "sip:\udcff@h"), binding(device.id, "sip:\\udcff@h", cseq=9)]
        )

        assert [row.cseq for row in await repository.bindings()] == [9]


async def test_a_timeline_keeps_the_newest_entries_of_each_device(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        other, _ = await repository.put_device(replace(SPEC, set_username="tw2", icp_username="1002"))
        over = 5
        for owner in (device.id, None):
            entries = [TimelineRow(owner, float(at), "call", str(at)) for at in range(MAX_DEVICE_ENTRIES + over)]
            await repository.write(timeline=[TimelineRow(other.id, 0.0, "call", "other"), *entries])

        for owner in (device.id, None):
            kept = await repository.timeline(owner, 2 * MAX_DEVICE_ENTRIES)
            assert [row.text for row in kept] == [str(at) for at in range(MAX_DEVICE_ENTRIES + over - 1, over - 1, -1)]
        assert len(await repository.timeline(other.id)) == 2


async def test_a_batch_of_many_devices_is_written_whole(tmp_path: Path) -> None:
    count = 1200
    async with opened(tmp_path) as repository:
        specs = [replace(SPEC, set_username=f"tw{n}", icp_username=f"9{n}") for n in range(count)]
        await repository.put_all([IcpSpec("Node 1", "10.0.0.20")], specs)
        devices = await repository.devices()
        await repository.write(
            bindings=[binding(device.id) for device in devices],
            timeline=[TimelineRow(device.id, 1.0, "call", "x") for device in devices],
        )

        assert len(await repository.bindings()) == count
        assert len(await repository.timeline(devices[-1].id)) == 1
