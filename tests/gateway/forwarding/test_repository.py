"""The rules in the database, and writers that would overwrite each other."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opx.gateway.forwarding import repository as room
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.rules import ForwardError, Protocol, parse_sources
from opx.gateway.records import Conflict, Missing
from support.forwarding import SITE, spec
from support.gateway_store import opened

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
async def forwards(tmp_path: Path) -> AsyncIterator[ForwardRepository]:
    async with opened(tmp_path) as repository:
        yield ForwardRepository(repository.engine, SITE)


async def test_a_rule_comes_back_as_it_was_written(forwards: ForwardRepository) -> None:
    wanted = spec(
        "8186, 9000-9010",
        protocol=Protocol.UDP,
        host_port=7000,
        snat=False,
        sources=parse_sources("198.51.100.0/24 203.0.113.7"),
        description="Größe",
        enabled=False,
        forced=True,
    )
    (made,) = await forwards.add(wanted)
    assert (made.version, made.spec) == (1, wanted)
    assert await forwards.all() == [made] == [await forwards.get(made.id)]


async def test_several_rules_are_added_together_or_not_at_all(forwards: ForwardRepository) -> None:
    with pytest.raises(ForwardError, match="TCP 8185 is forwarded by rule"):
        await forwards.add(spec("8185"), spec("8186"), spec("8180-8185"))
    assert await forwards.all() == []
    one, other = await forwards.add(spec("8185"), spec("8186"))
    assert await forwards.all() == [one, other]
    assert one.id < other.id


async def test_a_change_raises_the_version_and_one_on_an_old_version_is_refused(forwards: ForwardRepository) -> None:
    (made,) = await forwards.add(spec("8185"))
    first = await forwards.change(made.id, spec("8186"), made.version)
    assert first.version == 2
    with pytest.raises(Conflict, match="changed by somebody else") as caught:
        await forwards.change(made.id, spec("8187"), made.version)
    assert caught.value.current == 2
    with pytest.raises(Conflict):
        await forwards.remove(made.id, made.version)
    assert [rule.spec for rule in await forwards.all()] == [spec("8186")]
    await forwards.remove(made.id, 2)
    assert await forwards.all() == []


async def test_of_writers_that_saw_the_same_version_one_wins(forwards: ForwardRepository) -> None:
    (made,) = await forwards.add(spec("8185"))
    changes = [forwards.change(made.id, spec(str(9000 + number)), made.version) for number in range(8)]
    results = await asyncio.gather(*changes, return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 7
    (kept,) = await forwards.all()
    assert kept.version == 2 and kept in results


async def test_of_writers_that_want_the_same_port_at_once_one_wins(forwards: ForwardRepository) -> None:
    results = await asyncio.gather(*(forwards.add(spec("8185")) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, ForwardError) for result in results) == 7
    assert len(await forwards.all()) == 1


async def test_without_a_version_the_last_change_wins(forwards: ForwardRepository) -> None:
    (made,) = await forwards.add(spec("8185"))
    await forwards.change(made.id, spec("8186"))
    assert (await forwards.change(made.id, spec("8187"))).version == 3


async def test_a_rule_that_is_not_there_is_missing(forwards: ForwardRepository) -> None:
    for call in (forwards.get(7), forwards.change(7, spec("8185")), forwards.remove(7)):
        with pytest.raises(Missing, match="no port forwarding rule 7"):
            await call


async def test_changes_are_checked_like_new_rules_and_a_rule_is_not_in_its_own_way(forwards: ForwardRepository) -> None:
    one, _ = await forwards.add(spec("8185"), spec("8186"))
    with pytest.raises(ForwardError, match="SIP signalling"):
        await forwards.change(one.id, spec("5060"))
    with pytest.raises(ForwardError, match="forwarded by rule 2"):
        await forwards.change(one.id, spec("8185-8186"))
    assert (await forwards.change(one.id, spec("8184-8185"))).version == 2


async def test_there_is_a_bound_to_the_number_of_rules(
    forwards: ForwardRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_RULES", 3)
    await forwards.add(*(spec(str(port)) for port in (1, 2, 3)))
    with pytest.raises(ForwardError, match="all there may be"):
        await forwards.add(spec("4"))


async def test_a_list_of_ports_that_does_not_fit_is_refused(forwards: ForwardRepository) -> None:
    with pytest.raises(ForwardError, match="too long"):
        await forwards.add(spec(",".join(map(str, range(10000, 10600, 2)))))
