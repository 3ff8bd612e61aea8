"""What the suite keeps of the site, and how it keeps it."""

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from opx.store.errors import SecretsError
from opx.suite.sites.records import (
    Authorization,
    Conflict,
    Credentials,
    GatewaySpec,
    Locations,
    NodeSpec,
    PbxSpec,
    ReadExtension,
    SiteError,
)
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.suite.tables import METADATA
from support.suite_store import WRONG_NAME, open_suite, read, with_pbx

pytestmark = pytest.mark.usefixtures("each_database")


async def by_number(sites: SiteRepository, number: str) -> Any:
    found, _ = await sites.extensions(ExtensionQuery(text=number))
    (extension,) = found
    return extension


async def test_the_migrations_make_the_tables_that_the_code_works_with(tmp_path: Path) -> None:
    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection), METADATA)

    async with open_suite(tmp_path) as sites, sites.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_another_key_file_is_noticed_at_the_start(tmp_path: Path) -> None:
    async with open_suite(tmp_path):
        pass
    (tmp_path / "suite.key").write_bytes(bytes(32))
    with pytest.raises(SecretsError, match="does not belong to this database"):
        async with open_suite(tmp_path):
            pass


# --- the gateway


async def test_what_is_known_of_a_gateway_is_forgotten_with_its_address(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        gateway = sites.gateway
        await gateway.save(GatewaySpec("192.168.20.1", rest_api=True))
        await gateway.save_consumer("MiVoice Office Application Suite", "MiVOAppSuite", "shared-secret")
        await gateway.pin("ab" * 32)
        await gateway.save_pending("t", "s", 1.0)
        await gateway.save_token("token", "token-secret", 2e9)
        kept = await gateway.read()
        assert (kept.has_token, kept.pending, kept.fingerprint, kept.token_until) == (True, False, "ab" * 32, 2e9)
        access = await gateway.access()
        assert access and (access.consumer_secret, access.token_secret) == ("shared-secret", "token-secret")
        assert "secret" not in repr(access).replace("_secret", "")

        await gateway.save(GatewaySpec("192.168.20.2", rest_api=True))
        moved = await gateway.read()
        assert (moved.has_token, moved.fingerprint, moved.consumer_id) == (False, "", "MiVOAppSuite")


async def test_a_stale_form_about_the_gateway_overwrites_nothing(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        seen = await sites.gateway.save(GatewaySpec("192.168.20.1"))
        await sites.gateway.save(GatewaySpec("192.168.20.2"), seen.version)
        with pytest.raises(Conflict):
            await sites.gateway.save(GatewaySpec("192.168.20.3"), seen.version)


async def test_the_rest_api_needs_an_address(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        with pytest.raises(SiteError) as refused:
            await sites.gateway.save(GatewaySpec("", rest_api=True))
        assert refused.value.field == "address"


# --- PBXs and nodes


async def test_two_nodes_never_share_an_address(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        pbx, node = await with_pbx(sites)
        with pytest.raises(SiteError, match="already") as refused:
            await sites.save_node(NodeSpec(pbx.id, "Node 2", node.address))
        assert refused.value.field == "address"
        await sites.save_node(NodeSpec(pbx.id, "renamed", node.address), node.id, node.version)


async def test_a_pbx_whose_extensions_the_gateway_has_is_not_deleted(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        pbx, _ = await with_pbx(sites, "1001")
        extension = await by_number(sites, "1001")
        await sites.tick([extension.id], True)
        with pytest.raises(SiteError, match="untick"):
            await sites.delete_pbx(pbx.id)
        await sites.tick([extension.id], False)
        await sites.delete_pbx(pbx.id)
        assert await sites.extensions() == ([], 0)


async def test_the_token_of_a_pbx_is_write_only_and_kept_when_none_is_typed(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        pbx = await sites.save_pbx(PbxSpec("Office", "opx", "https://pbx/", token="management-token"))
        assert "management-token" not in repr(pbx)
        await sites.save_pbx(PbxSpec("Main office", "opx", "https://pbx/"), pbx.id, pbx.version)
        assert await sites.pbx_token(pbx.id) == "management-token"


# --- extensions


async def test_reading_the_pbx_again_changes_only_what_differs(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        pbx, node = await with_pbx(sites, "1001", "1002")
        first = await by_number(sites, "1001")
        assert (first.internal, first.node_id) == (Credentials("1001", "pbx-Secret-1"), node.id)
        assert await sites.take_over(pbx.id, [read("1001"), read("1002", "another")], 1.0) == 1
        assert (await by_number(sites, "1001")).revision == first.revision
        assert (await by_number(sites, "1002")).revision == first.revision + 1


async def test_an_extension_that_the_pbx_has_no_more_is_kept_but_not_present(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        pbx, _ = await with_pbx(sites, "1001", "1002")
        await sites.take_over(pbx.id, [read("1001")], 1.0)
        assert (await by_number(sites, "1002")).present is False


async def test_credentials_typed_by_hand_stay_when_the_pbx_tells_none(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        pbx, _ = await with_pbx(sites)
        await sites.take_over(pbx.id, [ReadExtension("1001")], 1.0)
        extension = await by_number(sites, "1001")
        wish = Authorization(False, internal_name="1001", internal_password="typed")
        await sites.authorize(extension.id, wish, extension.version)
        await sites.take_over(pbx.id, [ReadExtension("1001")], 2.0)
        assert (await by_number(sites, "1001")).internal == Credentials("1001", "typed")


async def test_remote_credentials_are_made_up_once_and_stay(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        await with_pbx(sites, "1001", "1002")
        ids = [(await by_number(sites, number)).id for number in ("1001", "1002")]
        assert [result.refused for result in await sites.tick(ids, True)] == ["", ""]
        one, other = [await sites.extension(key) for key in ids]
        assert one.teleworker and one.remote and other.remote
        assert one.remote.name != other.remote.name and one.remote.password != other.remote.password
        assert len(one.remote.password) >= 20
        await sites.tick(ids, False)
        await sites.tick(ids, True)
        assert (await sites.extension(ids[0])).remote == one.remote


async def test_a_differing_internal_name_is_refused_with_the_reason_and_the_others_are_done(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        pbx, _ = await with_pbx(sites)
        await sites.take_over(pbx.id, [read("1001"), WRONG_NAME], 1.0)
        good, bad = await by_number(sites, "1001"), await by_number(sites, "1003")
        results = await sites.tick([good.id, bad.id, 999], True)
        assert results[0].refused == ""
        assert "sip1003 differs from the extension number 1003" in results[1].refused
        assert results[2].refused == "it is gone"
        with pytest.raises(SiteError, match="differs from the extension number"):
            await sites.authorize(bad.id, Authorization(True))
        assert not (await sites.extension(bad.id)).teleworker


async def test_no_password_is_readable_in_the_database_or_a_repr(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        await with_pbx(sites, "1001")
        extension = await by_number(sites, "1001")
        await sites.tick([extension.id], True)
        ticked = await sites.extension(extension.id)
        assert "pbx-Secret-1" not in repr(ticked)
        assert ticked.remote and ticked.remote.password not in repr(ticked)
    for path in tmp_path.glob("suite.db*"):
        assert b"pbx-Secret-1" not in path.read_bytes()


# --- client locations


async def test_client_locations_are_host_names_or_addresses(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        assert await sites.locations() == Locations()
        assert await sites.save_locations(Locations("suite.example.com", "203.0.113.1"))
        assert not await sites.save_locations(Locations("suite.example.com", "203.0.113.1"))
        assert await sites.locations() == Locations("suite.example.com", "203.0.113.1")
        for wrong in ("https://suite", "203.0.113.999", "-a", "a..b"):
            with pytest.raises(SiteError) as refused:
                await sites.save_locations(Locations("", wrong))
            assert refused.value.field == "remote"
