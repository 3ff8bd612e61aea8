"""Two writers of the same ICP or device cannot overwrite each other unseen."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from opx.gateway.records import Conflict, DeviceChange, DeviceSpec, IcpSpec, InUse, Missing, NodeAddress, Taken
from opx.gateway.repository import DeviceQuery, Repository, RepositoryError
from opx.sip.digest import Algorithm, ha1
from support.gateway_store import REALM, SPEC, opened, repository_in, with_icp

pytestmark = pytest.mark.usefixtures("each_database")

NODE = IcpSpec("Node 1", "10.0.0.20", 5060)


async def test_every_write_of_a_device_raises_its_version_and_the_same_again_does_not(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        seen = [device.version]
        for change in ({"description": "Elsewhere"}, {"enabled": False}, {"set_password": "Another-1secret"}, {}):
            device, _ = await repository.put_device(replace(SPEC, **change))
            seen.append(device.version)
        same, changed = await repository.put_device(SPEC)
        await repository.set_enabled("tw1", False)
        disabled = await repository.device(device.id)

    assert seen == [1, 2, 3, 4, 5]
    assert (same.version, changed, disabled.version) == (5, False, 6)


async def test_every_write_of_an_icp_raises_its_version_that_of_its_nodes_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        seen = []
        for spec in (
            NODE,
            NODE,
            replace(NODE, host="10.0.0.21"),
            replace(NODE, host="10.0.0.21", nodes=(NodeAddress("10.0.0.22"),)),
            replace(NODE, host="10.0.0.21", nodes=(NodeAddress("10.0.0.23"),)),
            replace(NODE, host="10.0.0.21"),
        ):
            icp, _ = await repository.save_icp(spec)
            seen.append(icp.version)
            assert (await repository.icp(icp.id)).version == icp.version

    assert seen == [1, 1, 2, 3, 4, 5]


async def test_a_write_that_began_from_another_version_is_refused_with_the_one_there_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        icp, _ = await repository.save_icp(NODE)
        device, _ = await repository.put_device(SPEC)
        await repository.save_icp(replace(NODE, host="10.0.0.21"), icp.id, icp.version)
        await repository.save_device(replace(SPEC, description="first"), device.id, device.version)

        for refused in (
            repository.save_icp(replace(NODE, host="10.0.0.22"), icp.id, icp.version),
            repository.delete_icp(icp.id, icp.version),
            repository.save_device(replace(SPEC, description="second"), device.id, device.version),
            repository.save_device(replace(SPEC, description="second"), version=device.version),
            repository.delete_device(device.id, device.version),
        ):
            with pytest.raises(Conflict, match="was changed by somebody else") as conflict:
                await refused
            assert conflict.value.current == 2
        assert (await repository.icp(icp.id)).host == "10.0.0.21"
        assert (await repository.device(device.id)).description == "first"


async def test_who_wants_to_make_a_new_one_overwrites_none(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await repository.save_icp(NODE, version=0)
        device, _ = await repository.save_device(SPEC, version=0)
        for refused in (
            repository.save_icp(replace(NODE, host="10.0.0.21"), version=0),
            repository.save_device(replace(SPEC, description="second"), version=0),
        ):
            with pytest.raises(Conflict, match="is there already") as conflict:
                await refused
            assert (conflict.value.id, conflict.value.current) == (1, 1)
        again = await repository.save_device(SPEC, version=0)
        assert (again, (await repository.save_icp(NODE, version=0))[1]) == ((device, False), False)
        assert (await repository.devices())[0].description == device.description


async def test_of_many_writers_from_one_version_one_wins(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        others = [repository_in(tmp_path) for _ in range(4)]

        async def write(other: Repository, name: str) -> object:
            return await other.save_device(replace(SPEC, description=name), device.id, device.version)

        done = await asyncio.gather(
            *(write(other, f"writer {index}") for index, other in enumerate(others)), return_exceptions=True
        )
        for other in others:
            await other.close()
        stored = await repository.device(device.id)

    won = [index for index, result in enumerate(done) if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert stored.description == f"writer {won[0]}"
    assert [type(result) for result in done if isinstance(result, BaseException)] == [Conflict] * 3


async def test_ids_are_never_used_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        icp, _ = await repository.save_icp(NODE)
        device, _ = await repository.put_device(SPEC)
        await repository.delete_device(device.id)
        await repository.delete_icp(icp.id)
        new_icp, _ = await repository.save_icp(NODE)
        new_device, _ = await repository.put_device(SPEC)
        for gone in (repository.device(device.id), repository.delete_device(device.id), repository.icp(icp.id)):
            with pytest.raises(Missing):
                await gone

    assert (new_icp.id, new_device.id) == (icp.id + 1, device.id + 1)


async def test_an_icp_in_use_is_not_deleted(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        icp, _ = await repository.save_icp(NODE)
        await repository.put_device(SPEC)
        with pytest.raises(InUse, match="devices still use ICP Node 1"):
            await repository.delete_icp(icp.id, icp.version)


async def test_an_icp_may_get_another_name_and_keeps_its_devices(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        icp, _ = await repository.save_icp(NODE)
        await repository.save_icp(replace(NODE, name="Node 2", host="10.0.0.21"))
        device, _ = await repository.put_device(SPEC)
        renamed, _ = await repository.save_icp(replace(NODE, name="Head office"), icp.id)
        with pytest.raises(Taken, match="another ICP has the name Node 2 already"):
            await repository.save_icp(replace(NODE, name="Node 2"), icp.id)

        assert (renamed.id, [found.name for found in await repository.icps()]) == (icp.id, ["Head office", "Node 2"])
        assert (await repository.device(device.id)).icp_id == icp.id


async def test_a_device_gets_another_user_name_with_its_password_and_keeps_its_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        await repository.put_device(replace(SPEC, set_username="tw2", icp_username="1002"))
        with pytest.raises(RepositoryError, match="the set-side password is needed again"):
            await repository.save_device(replace(SPEC, set_username="tw9", set_password=None), device.id)
        with pytest.raises(Taken, match="another device has the set-side user name tw2 already"):
            await repository.save_device(replace(SPEC, set_username="tw2"), device.id)

        renamed, _ = await repository.save_device(replace(SPEC, set_username="tw9"), device.id, device.version)

        assert renamed == await repository.device(device.id)
        assert (renamed.set_username, renamed.revision) == ("tw9", device.revision + 1)
        assert renamed.set_ha1["MD5"] == ha1(Algorithm.MD5, "tw9", REALM, "Set-Side-7secret")
        assert renamed.icp_password == "Icp-Side-8secret"


async def test_a_password_that_serves_both_sides_may_stay_when_the_user_name_changes(tmp_path: Path) -> None:
    spec = DeviceSpec("1001", "Set-Side-7secret", "Node 1")
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(spec)
        renamed, _ = await repository.save_device(
            replace(spec, set_username="1002", set_password=None, icp_password=None), device.id
        )

    assert renamed.set_ha1["SHA-256"] == ha1(Algorithm.SHA256, "1002", REALM, "Set-Side-7secret")
    assert (renamed.icp_username, renamed.icp_password) == ("1002", "Set-Side-7secret")


async def test_of_many_changes_each_stands_for_itself(tmp_path: Path) -> None:
    other = replace(SPEC, set_username="tw2", icp_username="1002")
    async with opened(tmp_path) as repository:
        device, _ = await (await with_icp(repository)).put_device(SPEC)
        done = await repository.change_devices(
            [
                DeviceChange(other),
                DeviceChange(replace(SPEC, icp_username="1002", description="clashes"), device.id, device.version),
                DeviceChange(replace(SPEC, set_username="tw3", icp="Node 9")),
                DeviceChange(replace(SPEC, description="stale"), device.id, device.version + 7),
                DeviceChange(replace(SPEC, set_username="tw4", icp_username="1004"), 99),
                DeviceChange(replace(SPEC, description="taken"), device.id, device.version),
                DeviceChange(replace(SPEC, description="taken"), device.id, device.version + 1),
                DeviceChange(replace(other, set_username="tw5", icp_username="1005")),
                DeviceChange(None, device.id + 1, 7),
                DeviceChange(None, device.id + 2, 1),
            ]
        )
        stored = await repository.devices()

    kinds = [type(result) if isinstance(result, RepositoryError) else result[1] for result in done]
    assert kinds == [True, Taken, RepositoryError, Conflict, Missing, True, False, True, Conflict, True]
    assert [(found.set_username, found.icp_username, found.description) for found in stored] == [
        ("tw1", "1001", "taken"),
        ("tw2", "1002", "At home"),
    ]


async def test_devices_are_found_by_what_they_are_and_come_in_pages(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await with_icp(repository)
        second, _ = await repository.put_icp("Node 2", "", "10.0.0.21", 5060, "TCP")
        for number in (3, 1, 2):
            spec = DeviceSpec(f"tw{number}", "Set-Side-7secret", f"Node {1 + number % 2}", f"100{number}")
            await repository.put_device(replace(spec, description="50%_Off" if number == 2 else ""))
        await repository.put_device(DeviceSpec("2001", "Set-Side-7secret", "Node 1", enabled=False))

        async def names(query: DeviceQuery, *args: int | None) -> tuple[list[str], int]:
            found, total = await repository.find_devices(query, *args)  # type: ignore[arg-type]
            return [device.set_username for device in found], total

        assert await names(DeviceQuery(), 2) == (["2001", "tw1"], 4)
        assert await names(DeviceQuery(), 2, 2) == (["tw2", "tw3"], 4)
        assert await names(DeviceQuery(), 2, 0, 0) == (["tw3", "tw1"], 4)
        assert await names(DeviceQuery(), 9, 0, 2) == (["tw2", "2001"], 4)
        assert await names(DeviceQuery(icp_id=second.id), 9) == (["tw1", "tw3"], 2)
        assert await names(DeviceQuery(enabled=False), 9) == (["2001"], 1)
        assert await names(DeviceQuery(icp_username="2001"), 9) == (["2001"], 1)
        assert await names(DeviceQuery(set_username="tw1", icp_username="1002"), 9) == ([], 0)
        assert await names(DeviceQuery(text="TW"), 9) == (["tw1", "tw2", "tw3"], 3)
        assert await names(DeviceQuery(text="%_off"), 9) == (["tw2"], 1)
        assert await names(DeviceQuery(text="1003"), 9) == (["tw3"], 1)
