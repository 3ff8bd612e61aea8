"""What phones tell by action URIs, and how much of it is written down."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from opx.suite.handsets.http import Access, Caller, HandsetRequest, Identity
from opx.suite.handsets.records import PhoneRecord, Side
from opx.suite.phone_pages.actions import BURST, LONGEST_CALL, Actions, CallWatch, Journal
from opx.suite.timeline import Entry, Kind

MAC = "1400E9123456"


class Rig:
    def __init__(self) -> None:
        self.now = 1000.0
        self.written: list[Entry] = []
        self.journal = Journal(self.write, lambda: self.now)
        self.calls = CallWatch(lambda: self.now)
        self.outdated = False
        self.actions = Actions(self.journal, self.calls, lambda phone: self.outdated)

    async def write(self, entries: Sequence[Entry]) -> None:
        self.written.extend(entries)

    async def tell(self, event: str, mac: str = MAC, **query: str) -> bytes | None:
        caller = Caller(Identity("6930", mac, "", ""), Side.LOCAL, "", True, Access.PHONE, PhoneRecord(mac))
        answer = await self.actions.answer(HandsetRequest(f"xml/action/{event}", caller, query))
        return answer.body if answer is not None else None

    async def said(self) -> list[tuple[str, str]]:
        await self.journal.flush()
        return [(entry.kind.value, entry.text) for entry in self.written]


async def test_what_a_phone_tells_stands_on_its_timeline_and_is_answered_by_an_object_that_does_nothing() -> None:
    rig = Rig()
    body = await rig.tell("registered")
    assert body is not None and [item.get("URI") for item in ElementTree.fromstring(body)] == [""]
    await rig.tell("incoming", number="1002\nforged <entry>")
    await rig.tell("connected")
    await rig.tell("disconnected", duration="61")
    await rig.tell("registration-event", state="REFUSED", code="403")
    assert await rig.tell("poll") is not None and await rig.tell("nonsense") is None
    assert await rig.said() == [
        ("done", "the phone says: registered"),
        ("done", "incoming call from 1002 forged <entry>"),
        ("done", "call connected"),
        ("done", "call ended after 61 s"),
        ("warning", "the phone says: refused (403)"),
    ]
    assert rig.written[0].subject == f"phone:{MAC}" and rig.written[0].at == 1000.0


async def test_a_phone_that_tells_without_end_fills_nothing() -> None:
    rig = Rig()
    for _ in range(500):
        assert await rig.tell("startup") is not None
    await rig.tell("startup", "1400E9000002")
    assert len(await rig.said()) == BURST + 1
    rig.now += 10
    await rig.tell("startup")
    await rig.tell("startup")
    await rig.tell("startup")
    assert len(await rig.said()) == BURST + 3


async def test_a_phone_in_a_call_counts_as_busy_until_it_tells_the_end() -> None:
    rig = Rig()
    assert not rig.calls.busy(MAC)
    await rig.tell("outgoing")
    await rig.tell("connected")
    assert rig.calls.busy(MAC) and not rig.calls.busy("1400E9000002")
    await rig.tell("disconnected")
    assert not rig.calls.busy(MAC)
    await rig.tell("incoming")
    await rig.tell("registered")
    assert not rig.calls.busy(MAC)
    await rig.tell("incoming")
    rig.now += LONGEST_CALL
    assert not rig.calls.busy(MAC)


async def test_a_database_that_is_away_costs_entries_and_nothing_else(tmp_path: Path) -> None:
    rig = Rig()

    async def fail(entries: Sequence[Entry]) -> None:
        raise OSError("away")

    journal = Journal(fail, lambda: rig.now)
    journal.note(MAC, Kind.DONE, "x")
    await journal.flush()
    await journal.stop()


async def test_a_phone_that_lost_its_registration_is_sent_for_its_new_configuration() -> None:
    """It cannot be told by SIP: nobody knows where it is."""
    rig = Rig()

    async def ordered(event: str, **query: str) -> str | None:
        body = await rig.tell(event, **query)
        assert body is not None
        return ElementTree.fromstring(body)[0].get("URI")

    assert await ordered("registration-event", state="refused", code="401") == ""
    rig.outdated = True
    assert await ordered("registration-event", state="registered", code="001") == ""
    assert await ordered("startup") == ""
    assert await ordered("registration-event", state="refused", code="401") == "Command: FastReboot"
    assert await ordered("poll") == "Command: FastReboot"
    await rig.tell("incoming")
    assert await ordered("poll") == "", "not in the middle of a call"
    assert ("done", "is to start again: it has an outdated configuration") in await rig.said()
