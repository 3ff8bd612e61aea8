"""Which phones are told to fetch what is new, by which of their extensions, and what came of it."""

from collections.abc import Callable, Sequence

import pytest

from opx.suite.connectors.connector import Event
from opx.suite.handsets.book import Book
from opx.suite.handsets.records import PhoneRecord, Side, Sighting, State
from opx.suite.resync.desk import ResyncDesk
from opx.suite.resync.queue import GAPS
from opx.suite.resync.ways import Told
from opx.suite.timeline import Kind
from opx.suite.topics import PHONE_ORDERS, RESYNC

MAC = "1400E9123456"


class Board:
    """Stands in for the bulletin within one process."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[tuple[str, ...]], None]] = {}

    def subscribe(self, topic: str, handler: Callable[[tuple[str, ...]], None]) -> None:
        self.handlers[topic] = handler

    def publish(self, topic: str, keys: Sequence[str] = ()) -> None:
        self.handlers[topic](tuple(keys))


class Rig:
    """A desk with a clock in hand; `answers` is what comes of the next NOTIFYs, well where it is empty."""

    def __init__(self, *phones: PhoneRecord) -> None:
        self.book = Book()
        self.book.take_phones(phones, None)
        self.current: dict[str, str] = {phone.mac: phone.delivered for phone in phones}
        self.in_call: set[str] = set()
        self.now = 1000.0
        self.told: list[tuple[str, tuple[int, ...], str, str]] = []
        self.answers: list[Told] = []
        self.notes: list[tuple[str, str]] = []
        self.board = Board()
        self.desk = ResyncDesk(
            self.book,
            self,
            lambda phone: self.current.get(phone.mac, ""),
            self.in_call.__contains__,
            self.note,
            self.board,
            lambda: self.now,
        )

    def note(self, mac: str, kind: Kind, text: str) -> None:
        self.notes.append((kind.value, text))

    async def tell(self, phone: PhoneRecord, extension_ids: Sequence[int], event: Event, body: str = "") -> Told:
        self.told.append((phone.mac, tuple(extension_ids), event, body))
        return self.answers.pop(0) if self.answers else Told(True)

    async def go(self, seconds: float = 1.0) -> None:
        self.now += seconds
        await self.desk.look()
        await self.desk.tell_due()
        await self.desk.idle()

    def fetched(self, mac: str = MAC) -> None:
        """The phone comes for its file."""
        self.book.saw([Sighting(mac, self.now, "6930", "6.4", "", Side.LOCAL, "", self.current[mac])])

    def changed(self, version: str, mac: str = MAC) -> None:
        self.current[mac] = version
        self.book.take_phones([self.book.phones[mac]], [mac])


def phone(mac: str = MAC, **values: object) -> PhoneRecord:
    given = {"state": State.APPROVED, "delivered": "v1", "extension_id": 1, "side": "local", "model": "6930"} | values
    return PhoneRecord(mac, **given)  # type: ignore[arg-type]


async def test_only_phones_whose_file_differs_are_told_and_each_until_it_has_come_for_it() -> None:
    rig = Rig(phone(), phone("1400E9000002"), phone("1400E9000003", delivered=""))
    await rig.go()
    assert rig.told == []
    rig.current |= {MAC: "v2", "1400E9000003": "v2"}
    rig.book.take_site([], rig.book.locations, "")
    await rig.go()
    assert rig.told == [(MAC, (1, 1, 1), "check-sync", "")]
    assert rig.notes == [("done", "it was told to fetch its configuration")]
    await rig.go(GAPS[0])
    assert len(rig.told) == 2
    rig.fetched()
    await rig.go(GAPS[1])
    await rig.go(GAPS[2])
    assert len(rig.told) == 2 and len(rig.desk.queue) == 0


async def test_a_phone_is_reached_by_what_it_was_when_it_last_fetched() -> None:
    rig = Rig(phone())
    await rig.go()
    # A hot desk extension logs in: the phone is registered as its own one until it has fetched the new file.
    rig.book.take_phones([phone(hot_desk_id=7)], [MAC])
    rig.changed("v2")
    await rig.go()
    assert rig.told[-1][1] == (1, 7, 1)
    rig.fetched()
    await rig.go()
    rig.changed("v3")
    await rig.go(GAPS[0])
    assert rig.told[-1][1] == (7, 7, 1)


async def test_who_is_in_a_call_is_told_afterwards() -> None:
    rig = Rig(phone())
    rig.in_call.add(MAC)
    rig.changed("v2")
    await rig.go()
    await rig.go(600)
    assert rig.told == []
    rig.in_call.clear()
    await rig.go(60)
    assert len(rig.told) == 1


async def test_what_fails_is_tried_again_and_in_the_end_said() -> None:
    rig = Rig(phone())
    rig.answers = [Told(False, "no phone is registered as extension 1001")] * (len(GAPS) + 1)
    rig.changed("v2")
    await rig.go()
    for gap in GAPS:
        await rig.go(gap)
    await rig.go(10_000)
    assert len(rig.told) == len(GAPS) + 1
    assert [kind for kind, _ in rig.notes] == ["warning", "warning"]
    assert "it is tried again" in rig.notes[0][1] and "when it starts or looks by itself" in rig.notes[1][1]


@pytest.mark.parametrize(("order", "event"), [("reboot", "reboot"), ("identify", "aastra-xml")])
async def test_an_administrators_order_is_carried_out_once(order: str, event: str) -> None:
    rig = Rig(phone())
    rig.board.publish(PHONE_ORDERS, [f"{MAC} {order}", f"{MAC} dance", "1400E9999999 reboot"])
    await rig.go()
    await rig.go(10_000)
    assert [told[2] for told in rig.told] == [event]
    assert ("14:00:E9:12:34:56" in rig.told[0][3]) is (order == "identify")
    assert len(rig.notes) == 1 and len(rig.desk.queue) == 0


async def test_a_resync_by_hand_is_told_once_whatever_the_phone_has_and_to_approved_ones_alone() -> None:
    rig = Rig(phone(), phone("1400E9000002", state=State.REVOKED))
    rig.board.publish(RESYNC, [MAC, "1400E9000002"])
    await rig.go()
    await rig.go(10_000)
    assert [told[0] for told in rig.told] == [MAC] and len(rig.desk.queue) == 0
    assert rig.notes == [("done", "it was told to look for its configuration")]
