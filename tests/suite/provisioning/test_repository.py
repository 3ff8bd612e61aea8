"""What the suite's processes can read of extensions at the gateway, and what is kept of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from opx.suite.provisioning.records import Provisioned, ProvisionState, Run
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.sites.records import GatewaySpec
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from support.suite_store import PBX_ADDRESS, open_suite, with_pbx

pytestmark = pytest.mark.usefixtures("each_database")

DONE = ProvisionState.PROVISIONED


async def ids_of(sites: SiteRepository) -> list[int]:
    return [extension.id for extension in (await sites.extensions(ExtensionQuery()))[0]]


async def save(kept: ProvisioningRepository, sites: SiteRepository, *records: Provisioned) -> None:
    async with sites.engine.begin() as connection:
        await kept.save_in(connection, records)


async def test_a_ticked_extension_is_pending_before_anybody_has_looked_at_it(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        kept = ProvisioningRepository(sites.engine)
        await sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=True))
        await with_pbx(sites, "1001", "1002")
        one, other = await ids_of(sites)
        assert await kept.states([one, other]) == {} and await kept.counts() == {}
        await sites.tick([one], True)
        states = await kept.states([one, other, 999])
        assert {key: state.state for key, state in states.items()} == {one: ProvisionState.PENDING}
        assert await kept.counts() == {ProvisionState.PENDING: 1}
        (row,) = await kept.teleworkers()
        assert (row.number, row.node, row.internal_name) == ("1001", PBX_ADDRESS, "1001")
        assert row.has_internal and row.has_remote

        await save(kept, sites, Provisioned(one, "1001", DONE, device_id=7, owned=True, set_username="tw"))
        state = await kept.state(one)
        assert state and state.on_gateway and (state.device_id, state.owned) == (7, True)
        await sites.tick([one], False)
        unticked = await kept.state(one)
        assert unticked and (unticked.state, unticked.device_id) == (ProvisionState.REMOVING, 7)


async def test_without_the_rest_api_extensions_are_kept_by_hand(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        kept = ProvisioningRepository(sites.engine)
        await with_pbx(sites, "1001", "1002")
        ids = await ids_of(sites)
        await sites.tick(ids, True)
        await save(kept, sites, Provisioned(ids[0], "1001", DONE, device_id=7))
        states = await kept.states(ids)
        assert [states[key].state for key in ids] == [DONE, ProvisionState.BY_HAND]
        assert states[ids[1]].on_gateway
        assert await kept.counts() == {DONE: 1, ProvisionState.BY_HAND: 1}


async def test_rows_are_written_over_and_outlive_their_extension(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        kept = ProvisioningRepository(sites.engine)
        record = Provisioned(5, "1005", ProvisionState.FAILED, "no ICP", 2, 10.0, 1.0, "ab", 9, True, False, "tw", "d")
        await save(kept, sites, record, replace(record, extension_id=6))
        await save(kept, sites, replace(record, tries=3))
        assert await kept.records() == {5: replace(record, tries=3), 6: replace(record, extension_id=6)}
        listed, total = await kept.listed([ProvisionState.REMOVING], 1, 1)
        assert ([row.state.extension_id for row in listed], listed[0].pbx_id, total) == ([6], None, 2)
        assert (await kept.listed([ProvisionState.REMOVING], 9, text="ICP"))[1] == 2
        assert (await kept.listed([ProvisionState.REMOVING], 9, text="other"))[1] == 0
        assert await kept.counts() == {ProvisionState.REMOVING: 2}
        async with sites.engine.begin() as connection:
            await kept.save_in(connection, [], gone=[5, 6])
        assert await kept.records() == {}


async def test_the_run_is_one_row(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        kept = ProvisioningRepository(sites.engine)
        assert await kept.run() == Run()
        run = Run("unreachable", "away", 1.0, 2.0, None, "", 10, 4, 100.0, None)
        await kept.save_run(Run())
        await kept.save_run(run)
        read = await kept.run()
        assert read == run and read.working and read.rate(102.0) == 2.0
