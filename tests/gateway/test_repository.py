"""What the gateway keeps, and how it keeps it."""

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from opx.gateway.records import BatchError, DeviceRecord, DeviceSpec, IcpSpec, NodeAddress, RepositoryError
from opx.gateway.repository import MIGRATIONS, Repository
from opx.gateway.tables import METADATA
from opx.sip.digest import Algorithm, ha1
from opx.store.errors import SecretsError
from opx.store.migrations import migrate
from opx.store.secrets import Sealer, load_key
from support.gateway_store import REALM, SPEC, engine_in, opened, repository_in, stored_bytes, with_icp
from support.postgres import DATABASES
from support.together import run_together

pytestmark = pytest.mark.usefixtures("each_database")


async def only_device(repository: Repository) -> DeviceRecord:
    (device,) = await repository.devices()
    return device


# --- the first start and later ones


async def test_the_realm_is_fixed_at_the_first_start(tmp_path: Path) -> None:
    realms = []
    for asked in ("first.example", "second.example", ""):
        repository = repository_in(tmp_path)
        realms.append(await repository.open(asked))
        await repository.close()

    assert realms == ["first.example"] * 3


async def test_a_realm_is_made_up_when_none_is_given(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one, other = repository_in(tmp_path / "one"), repository_in(tmp_path / "other")
    try:
        assert await one.open() != await other.open()
    finally:
        await one.close()
        await other.close()


def test_first_starts_at_once_agree_on_key_and_realm(tmp_path: Path) -> None:
    DATABASES.place(tmp_path / "gateway.db")
    realms = run_together(
        4,
        "import asyncio\nfrom pathlib import Path\nfrom support.gateway_store import repository_in",
        "async def start():\n"
        "    repository = repository_in(Path(sys.argv[1]))\n"
        "    print(await repository.open())\n"
        "    await repository.close()\n"
        "asyncio.run(start())",
        str(tmp_path),
    )

    assert len(set(realms)) == 1
    assert realms[0].startswith("opx-")


async def test_the_migrations_make_exactly_the_tables_of_the_models(tmp_path: Path) -> None:
    async with opened(tmp_path):
        engine = engine_in(tmp_path)

        def differences(connection: Connection) -> object:
            return compare_metadata(MigrationContext.configure(connection), METADATA)

        try:
            async with engine.connect() as connection:
                assert await connection.run_sync(differences) == []
        finally:
            await engine.dispose()


async def test_the_key_file_of_another_database_is_refused_at_the_start(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    (tmp_path / "gateway.key").unlink()
    load_key(tmp_path / "gateway.key", create=True)
    repository = repository_in(tmp_path)
    try:
        with pytest.raises(SecretsError, match="the key file does not belong to this database"):
            await repository.open()
    finally:
        await repository.close()


# --- secrets


async def test_no_password_and_no_hash_of_one_can_be_read_from_the_files(tmp_path: Path) -> None:
    hashes = [ha1(algorithm, "tw1", REALM, "Set-Side-7secret") for algorithm in Algorithm]
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)
        while_open = stored_bytes(tmp_path)
    closed = stored_bytes(tmp_path)

    for data in (while_open, closed):
        assert b"10.0.0.20" in data
        for secret in ("Set-Side-7secret", "Icp-Side-8secret", *hashes, *(text.upper() for text in hashes)):
            assert secret.encode() not in data
        assert not any(bytes.fromhex(text) in data for text in hashes)


async def test_secrets_come_back_opened_and_show_in_no_repr(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)
        device = await only_device(repository)

    expected = {algorithm.value: ha1(algorithm, "tw1", REALM, "Set-Side-7secret") for algorithm in Algorithm}
    assert device.set_ha1 == expected
    assert device.icp_password == "Icp-Side-8secret"
    for text in (repr(device), repr(SPEC)):
        assert "secret" not in text
        assert expected["MD5"] not in text


async def test_a_secret_copied_to_another_device_does_not_open(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await with_icp(repository)
        await repository.put_device(SPEC)
        await repository.put_device(replace(SPEC, set_username="tw2", icp_username="1002"))
        engine = engine_in(tmp_path)
        async with engine.begin() as connection:
            await connection.exec_driver_sql(
                "UPDATE device SET set_ha1 = (SELECT set_ha1 FROM device WHERE set_username = 'tw1')"
            )
        await engine.dispose()

        with pytest.raises(SecretsError, match=r"device\.set_ha1:tw2"):
            await repository.devices()


# --- devices


async def test_blank_icp_side_fields_mean_the_same_as_on_the_set_side(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(DeviceSpec("1001", "Set-Side-7secret", "Node 1"))
        device = await only_device(repository)

    assert (device.icp_username, device.icp_password) == ("1001", "Set-Side-7secret")


async def test_an_icp_side_password_that_is_the_same_follows_a_new_set_side_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(DeviceSpec("1001", "Set-Side-7secret", "Node 1"))

        device = await repository.set_password("1001", set_password="Other-9secret")

    assert device.icp_password == "Other-9secret"
    assert device.set_ha1["MD5"] == ha1(Algorithm.MD5, "1001", REALM, "Other-9secret")


async def test_an_icp_side_password_of_its_own_stays_when_the_set_side_one_changes(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)

        device = await repository.set_password("tw1", set_password="Other-9secret")

    assert device.icp_password == "Icp-Side-8secret"
    assert (device.icp_username, device.description, device.enabled) == ("1001", "At home", True)


async def test_the_icp_side_password_alone_can_be_changed(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        before, _ = await (await with_icp(repository)).put_device(SPEC)

        device = await repository.set_password("tw1", icp_password="New-Pbx-secret")

    assert (device.icp_password, device.set_ha1) == ("New-Pbx-secret", before.set_ha1)
    assert device.revision == before.revision + 1


async def test_passwords_left_out_stay_as_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        before, _ = await (await with_icp(repository)).put_device(SPEC)

        after, changed = await repository.put_device(
            replace(SPEC, set_password=None, icp_password=None, description="At work")
        )

    assert changed
    assert after == replace(before, description="At work")


async def test_a_blank_icp_side_password_needs_the_set_side_one_when_that_is_not_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)

        with pytest.raises(RepositoryError, match="expected the set-side password, too"):
            await repository.put_device(replace(SPEC, set_password=None, icp_password=""))


@pytest.mark.parametrize(
    "change",
    [
        {"set_password": "Another-1secret"},
        {"icp_password": "Another-1secret"},
        {"icp_username": "1009"},
        {"icp_username": ""},
    ],
)
async def test_new_credentials_change_the_revision(tmp_path: Path, change: dict[str, str]) -> None:
    async with opened(tmp_path) as repository:
        before, _ = await (await with_icp(repository)).put_device(SPEC)

        after, changed = await repository.put_device(replace(SPEC, **change))  # type: ignore[arg-type]

    assert changed
    assert after.revision == before.revision + 1


@pytest.mark.parametrize("change", [{"description": "Elsewhere"}, {"enabled": False}, {"icp": "Node 2"}])
async def test_what_is_no_credential_leaves_the_revision(tmp_path: Path, change: dict[str, object]) -> None:
    async with opened(tmp_path) as repository:
        await with_icp(repository)
        await repository.put_icp("Node 2", "", "10.0.0.21", 5060, "TCP")
        before, _ = await repository.put_device(SPEC)

        after, changed = await repository.put_device(replace(SPEC, **change))  # type: ignore[arg-type]

    assert changed
    assert after != before
    assert after.revision == before.revision


async def test_the_same_device_again_changes_nothing_in_the_database(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)
        query = "SELECT set_ha1, icp_password, revision FROM device"
        engine = engine_in(tmp_path)
        async with engine.connect() as connection:
            before = (await connection.exec_driver_sql(query)).all()
        _, changed = await repository.put_device(SPEC)
        async with engine.connect() as connection:
            after = (await connection.exec_driver_sql(query)).all()
        await engine.dispose()

    assert not changed
    assert after == before


async def test_two_devices_cannot_be_one_user_at_an_icp(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)

        for username, icp_username in (("tw2", "1001"), ("1001", "")):
            with pytest.raises(RepositoryError, match="another device has the ICP-side user name 1001"):
                await repository.put_device(replace(SPEC, set_username=username, icp_username=icp_username))

        await repository.put_icp("Node 2", "", "10.0.0.21", 5060, "UDP")
        await repository.put_device(replace(SPEC, set_username="tw2", icp="Node 2"))
        assert [device.set_username for device in await repository.devices()] == ["tw1", "tw2"]


async def test_a_new_device_needs_a_password(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await with_icp(repository)
        with pytest.raises(RepositoryError, match="is new and needs a set-side password"):
            await repository.put_device(replace(SPEC, set_password=None))


async def test_devices_that_are_not_there_cannot_be_changed(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        for refused in (
            repository.set_enabled("nobody", True),
            repository.remove_device("nobody"),
            repository.set_password("nobody", set_password="Some-1secret"),
        ):
            with pytest.raises(RepositoryError, match="there is no device nobody"):
                await refused


# --- ICPs


async def test_an_icp_is_changed_by_its_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        first, added = await repository.put_icp("Node 1", "", "10.0.0.20", 5060, "UDP")
        _, again = await repository.put_icp("Node 1", "", "10.0.0.20", 5060, "UDP")
        moved, changed = await repository.put_icp("Node 1", "", "10.0.0.21", 5070, "TCP")
        icps = await repository.icps()

    assert (added, again, changed) == (True, False, True)
    assert icps == [replace(first, host="10.0.0.21", port=5070, transport="TCP")] == [moved]


async def test_an_icp_stays_as_long_as_devices_use_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)

        with pytest.raises(RepositoryError, match="devices still use ICP Node 1"):
            await repository.remove_icp("Node 1")
        await repository.remove_device("tw1")
        await repository.remove_icp("Node 1")

        assert await repository.icps() == []
        with pytest.raises(RepositoryError, match="there is no ICP Node 1"):
            await repository.remove_icp("Node 1")


# --- batches


async def test_a_batch_with_a_mistake_stores_nothing_and_names_all_mistakes(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        with pytest.raises(BatchError) as refused:
            await repository.put_all(
                [IcpSpec("Node 1", "10.0.0.20"), IcpSpec("Node 2", "::1")],
                [
                    SPEC,
                    replace(SPEC, set_username="tw2", icp="Node 2"),
                    replace(SPEC, set_username="tw3", icp="Node 3"),
                    replace(SPEC, set_username="tw4", set_password=None),
                    replace(SPEC, set_username="tw5", icp_username="1001"),
                ],
            )
        where = [(what, index, error.field) for what, index, error in refused.value.problems]
        assert where == [
            ("icp", 1, "host"),
            ("device", 2, "icp"),
            ("device", 3, "set_password"),
            ("device", 0, "icp_username"),
            ("device", 4, "icp_username"),
        ]
        assert (await repository.icps(), await repository.devices()) == ([], [])


async def test_a_batch_may_swap_user_names(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        one, other = SPEC, replace(SPEC, set_username="tw2", icp_username="1002")
        icps = [IcpSpec("Node 1", "10.0.0.20")]
        assert await repository.put_all(icps, [one, other]) == 3

        assert await repository.put_all(icps, [replace(one, icp_username="1002"), replace(other, icp_username="1001")])

        assert [device.icp_username for device in await repository.devices()] == ["1002", "1001"]


async def test_a_wrong_key_opens_no_device(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)
    engine = engine_in(tmp_path)
    repository = Repository(engine, Sealer(bytes(32)))
    try:
        with pytest.raises(SecretsError):
            await repository.devices()
    finally:
        await repository.close()


async def test_further_nodes_are_kept_in_their_order_and_a_change_of_them_is_one(tmp_path: Path) -> None:
    one, two = NodeAddress("10.0.0.21", 5060, "UDP"), NodeAddress("pbx2.example", None, "TCP")
    async with opened(tmp_path) as repository:
        for nodes, changed in (((one, two), True), ((one, two), False), ((two, one), True), ((two,), True), ((), True)):
            stored = await repository.put_icp("Node 1", "PBX", "pbx.example", None, "UDP", nodes)
            (icp,) = await repository.icps()
            assert stored == (icp, changed)
            assert icp.addresses == (NodeAddress("pbx.example", None, "UDP"), *nodes)


async def test_an_address_without_a_port_has_the_usual_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        icp, _ = await repository.put_icp("Node 1", "PBX", "10.0.0.20", None, "UDP", [NodeAddress("10.0.0.21")])
    assert [node.port for node in icp.addresses] == [5060, 5060]


async def test_a_removed_icp_takes_its_nodes_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await repository.put_icp("Node 1", "PBX", "10.0.0.20", 5060, "UDP", [NodeAddress("10.0.0.21")])
        await repository.remove_icp("Node 1")
        await repository.put_icp("Node 2", "PBX", "10.0.0.20", 5060, "UDP")
        (icp,) = await repository.icps()
    assert icp.nodes == ()


async def test_a_database_of_before_further_nodes_keeps_its_icps_and_their_devices(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def first_revision(connection: Connection) -> None:
        config.attributes["connection"] = connection
        upgrade(config, "0001")
        connection.exec_driver_sql("INSERT INTO icp VALUES (7, 'Node 1', 'PBX', '10.0.0.20', 5070, 'TCP')")
        device = sqlalchemy.text("INSERT INTO device VALUES (3, :enabled, '', 7, 'tw1', :secret, '1001', :secret, 4)")
        connection.execute(device, {"enabled": True, "secret": b"\0"})

    async with engine.begin() as connection:
        await connection.run_sync(first_revision)
    await migrate(engine, MIGRATIONS)
    try:
        async with engine.connect() as connection:
            icps = [tuple(row) for row in await connection.exec_driver_sql("SELECT * FROM icp")]
            devices = [
                tuple(row) for row in await connection.exec_driver_sql("SELECT id, icp_id, revision FROM device")
            ]
            with pytest.raises(IntegrityError, match="ck_icp_transport"):
                await connection.exec_driver_sql("INSERT INTO icp VALUES (8, 'x', '', 'h', 1, 'TLS', 1)")
    finally:
        await engine.dispose()
    assert icps == [(7, "Node 1", "PBX", "10.0.0.20", 5070, "TCP", 1)]
    assert devices == [(3, 7, 4)]
