"""Busy lamps: what watchers hear of an extension's calls, on the wire in memory."""

from opx.sip.bodies.dialog_info import DialogInfo
from opx.sip.subscriber import Notified, SubscriberEvent
from support.office import PBX, Office

THREE = ("1001", "1002", "1003")


def documents(heard: list[SubscriberEvent]) -> list[DialogInfo]:
    return [DialogInfo.parse(event.content.body) for event in heard if isinstance(event, Notified)]


def states(heard: list[SubscriberEvent]) -> list[list[str]]:
    return [[dialog.state for dialog in document.dialogs] for document in documents(heard)]


def test_a_lamp_follows_a_call_from_ringing_to_its_end() -> None:
    office = Office(THREE)
    called, caller = office.three.watch("dialog", "1002"), office.three.watch("dialog", "1001")
    office.wire.deliver()
    office.connected()
    office.one.last.hang_up()
    office.wire.deliver()
    assert states(called) == [[], ["early"], ["confirmed"], ["terminated"]]
    assert states(caller) == [[], ["early"], ["confirmed"], ["terminated"]]
    assert office.node.lamps._shown == {}


def test_documents_are_full_and_numbered_and_name_both_ends() -> None:
    office = Office(THREE)
    heard = office.three.watch("dialog", "1002")
    office.wire.deliver()
    office.connected()
    found = documents(heard)
    assert [(document.version, document.full) for document in found] == [(0, True), (1, True), (2, True)]
    assert {document.entity for document in found} == {f"sip:1002@{PBX[0]}:5060"}
    dialog = found[-1].dialogs[0]
    assert (dialog.direction, dialog.local.display, dialog.remote.display) == ("recipient", "Desk 1002", "Desk 1001")
    assert dialog.remote.identity == f"sip:1001@{PBX[0]}:5060"
    assert dialog.name is not None and dialog.name == found[1].dialogs[0].name


def test_no_dialog_of_a_leg_is_named_and_no_phone_is_told_where_another_is() -> None:
    office = Office(THREE)
    heard = office.three.watch("dialog", "1002")
    office.wire.deliver()
    office.connected()
    text = "".join(event.content.body.decode() for event in heard if isinstance(event, Notified))
    for desk in (office.one, office.two):
        assert desk.last.call_id not in text and desk.node.address[0] not in text


def test_a_second_call_is_in_the_same_document() -> None:
    office = Office((*THREE, "1004"))
    heard = office.three.watch("dialog", "1002")
    office.connected()
    office.desks["1004"].call("1002")
    office.wire.deliver()
    assert states(heard)[-1] == ["confirmed", "early"]


def test_lamps_follow_forwarding_and_pickup() -> None:
    office = Office((*THREE, "1004"))
    second, third = office.one.watch("dialog", "1002"), office.one.watch("dialog", "1003")
    fourth = office.one.watch("dialog", "1004")
    office.wire.deliver()
    office.set("1002", forward_no_answer="1003")
    office.one.call("1002")
    office.wire.advance(16)
    office.desks["1004"].call("**1003")
    office.wire.deliver()
    assert states(second) == [[], ["early"], []]
    assert states(third) == [[], ["early"], []]
    assert states(fourth) == [[], ["confirmed"]]


def test_a_watcher_who_comes_late_sees_the_call() -> None:
    office = Office(THREE)
    office.connected()
    heard = office.three.watch("dialog", "1002")
    office.wire.deliver()
    assert states(heard) == [["confirmed"]]


def test_the_lamp_of_a_hot_desk_extension_is_wherever_it_is() -> None:
    office = Office(THREE)
    office.dial(office.one, "*111500*2468")
    heard, base = office.three.watch("dialog", "1500"), office.three.watch("dialog", "1001")
    office.wire.deliver()
    office.one.call("1002")
    office.wire.deliver()
    assert states(heard)[-1] == ["early"]
    assert states(base)[-1] == []
