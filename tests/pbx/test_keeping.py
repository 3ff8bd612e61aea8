"""What the node's database keeps of features: brought up from the first release, and written behind the calls."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import text

from opx.pbx import keeper
from opx.pbx.features.states import FeatureState, FeatureStates
from opx.pbx.keeper import StateKeeper
from opx.pbx.repository import ExtensionRepository
from opx.store.engine import open_engine
from opx.store.secrets import Sealer
from support.programs import PATIENCE

KEY = bytes(32)
OFF, DND = FeatureState(), FeatureState(dnd=True)
ALL_ON = FeatureState(True, "1002", "1003", "1004", 2, 1, "sales", "scrypt$x", "1005")


def repository(path: Path) -> ExtensionRepository:
    return ExtensionRepository(open_engine(f"sqlite+aiosqlite:///{path}"), Sealer(KEY))


async def test_a_database_of_the_first_release_keeps_its_extensions_and_learns_features(tmp_path: Path) -> None:
    made = repository(tmp_path / "pbx.db")
    await made.open()
    before = await made.ensure("1001", "Reception", "SIP")
    async with made._engine.begin() as connection:
        await connection.execute(text("DROP TABLE features"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    await made.close()
    again = repository(tmp_path / "pbx.db")
    await again.open()
    assert await again.all() == [before]
    await again.save_features({"1001": ALL_ON})
    assert await again.features() == {"1001": ALL_ON}
    await again.close()


async def test_features_go_with_their_extension_and_those_of_none_are_not_kept(tmp_path: Path) -> None:
    kept = repository(tmp_path / "pbx.db")
    await kept.open()
    await kept.ensure("1001", "", "SIP")
    await kept.save_features({"1001": DND, "9999": DND})
    assert set(await kept.features()) == {"1001"}
    await kept.remove("1001")
    assert await kept.features() == {}
    await kept.close()


class Database:
    """Fails as often as it is told, and holds what it was given."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.held: dict[str, FeatureState] = {}
        self.tried = asyncio.Event()

    async def save(self, states: Mapping[str, FeatureState]) -> None:
        self.tried.set()
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        self.held |= states


async def test_changes_are_written_behind_and_the_rest_when_it_stops() -> None:
    database = Database()
    writer = StateKeeper(database.save)
    writer.start()
    writer.keep("1001", OFF, DND)
    async with asyncio.timeout(PATIENCE):
        while not database.held:
            await asyncio.sleep(0)
    writer.keep("1002", OFF, DND)
    await writer.stop()
    assert database.held == {"1001": DND, "1002": DND}


async def test_what_a_failing_database_did_not_take_is_kept_and_newer_states_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 3600.0)
    database = Database(failures=1)
    writer = StateKeeper(database.save)
    writer.start()
    writer.keep("1001", OFF, DND)
    writer.keep("1002", OFF, DND)
    async with asyncio.timeout(PATIENCE):
        await database.tried.wait()
    writer.keep("1001", DND, ALL_ON)
    await writer.stop()
    assert database.held == {"1001": ALL_ON, "1002": DND}


def test_states_know_who_is_at_a_phone_whatever_happens() -> None:
    states = FeatureStates({"1500": FeatureState(phone="1001")})
    assert states.guest_at("1001") == "1500"
    states.put("1500", FeatureState(phone="1002"))
    assert (states.guest_at("1001"), states.guest_at("1002")) == ("", "1500")
    states.put("1501", FeatureState(phone="1002"))
    states.put("1500", FeatureState())
    assert states.guest_at("1002") == "1501"
    states.forget("1501")
    assert states.guest_at("1002") == ""


def test_only_changes_are_told() -> None:
    states = FeatureStates({})
    told: list[tuple[str, FeatureState, FeatureState]] = []
    states.watch(lambda *change: told.append(change))
    states.put("1001", OFF)
    states.put("1001", DND)
    states.put("1001", DND)
    assert told == [("1001", OFF, DND)]
