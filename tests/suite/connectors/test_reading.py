"""PBXs are read again and again, and at once when somebody asks for it."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from opx.suite.backoff import BackOff
from opx.suite.connectors.reading import PbxReader
from opx.suite.sites.records import NodeSpec, PbxSpec
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import EXTENSIONS, READ_PBX, SITES
from support.suite_gateway import Board
from support.suite_store import PBX_ADDRESS, open_suite


class Desk:
    """A PBX that is a file, its reader, and a clock."""

    def __init__(self, sites: SiteRepository, folder: Path) -> None:
        self.now = 1_000_000.0
        self.sites = sites
        self.board = Board()
        self.file = folder / "extensions.csv"
        self.reader = PbxReader(sites, self.board, clock=lambda: self.now)

    def write(self, *numbers: str) -> None:
        self.file.write_text("number,password\n" + "".join(f"{number},secret-{number}\n" for number in numbers))

    async def numbers(self) -> list[str]:
        return [extension.number for extension in (await self.sites.extensions())[0]]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_suite(tmp_path) as sites:
        yield Desk(sites, tmp_path)


async def test_a_pbx_is_read_when_it_is_new_then_now_and_again_and_when_asked(desk: Desk) -> None:
    assert await desk.reader.read_due() == desk.reader.settings.interval
    desk.write("1001")
    pbx = await desk.sites.save_pbx(PbxSpec("Office", "csv", str(desk.file)))
    await desk.sites.save_pbx(PbxSpec("By hand"))
    assert await desk.reader.read_due() == desk.reader.settings.interval
    assert await desk.numbers() == ["1001"]
    assert {topic for topic, _ in desk.board.published} == {SITES, EXTENSIONS}
    desk.write("1001", "1002")
    await desk.reader.read_due()
    assert await desk.numbers() == ["1001"]
    desk.board.publish(READ_PBX, [str(pbx.id)])
    await desk.reader.read_due()
    assert await desk.numbers() == ["1001", "1002"]
    desk.write("1001", "1002", "1003")
    desk.now += desk.reader.settings.interval
    await desk.reader.read_due()
    assert await desk.numbers() == ["1001", "1002", "1003"]
    # A node that has come is a reason to look where its extensions are.
    node = await desk.sites.save_node(NodeSpec(pbx.id, "Node 1", PBX_ADDRESS))
    await desk.reader.read_due()
    assert {extension.node_id for extension in (await desk.sites.extensions())[0]} == {node.id}


async def test_what_is_wrong_with_a_pbx_is_kept_and_it_is_tried_again_after_longer_and_longer(desk: Desk) -> None:
    pbx = await desk.sites.save_pbx(PbxSpec("Office", "csv", str(desk.file)))
    waits = []
    for _ in range(9):
        waits.append(await desk.reader.read_due())
        desk.now += waits[-1]
    assert 7.5 <= waits[0] <= 10 and 15 <= waits[1] <= 20 and 450 <= waits[-1] <= 600
    failed = await desk.sites.pbx(pbx.id)
    assert "cannot be read" in failed.read_error and failed.read_at is None
    assert desk.board.published == [(SITES, ())]
    desk.write("1001")
    assert await desk.reader.read_due() == desk.reader.settings.interval
    healed = await desk.sites.pbx(pbx.id)
    assert (healed.read_error, healed.read_at) == ("", desk.now)


async def test_the_releases_that_a_pbx_tells_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("1001")
    pbx = await desk.sites.save_pbx(PbxSpec("Office", "csv", str(desk.file), token="kept"))
    await desk.sites.save_node(NodeSpec(pbx.id, "Node 1", PBX_ADDRESS, nat_address="203.0.113.1"))

    from opx.suite.connectors import csv_file

    plain = csv_file.parse
    monkeypatch.setattr(
        csv_file, "parse", lambda data: replace(plain(data), software={PBX_ADDRESS: "6.3 SP2"}, ct_gateway="5.0.65")
    )
    await desk.reader.read_due()
    (node,) = await desk.sites.nodes()
    assert (node.software, node.nat_address) == ("6.3 SP2", "203.0.113.1")
    assert (await desk.sites.pbx(pbx.id)).ct_gateway == "5.0.65"
    assert await desk.sites.pbx_token(pbx.id) == "kept"


def test_waiting_doubles_up_to_a_bound_and_differs_by_chance() -> None:
    back_off = BackOff(10.0, 300.0, random.Random(7))
    waits = [back_off.seconds(failures) for failures in range(1, 50)]
    assert all(0.75 * min(10 * 2**at, 300) <= wait <= min(10 * 2**at, 300) for at, wait in enumerate(waits))
    assert len(set(waits)) == len(waits)
