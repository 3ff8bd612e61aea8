"""Transfers through the gateway: passed on, mapped, or carried out."""

import pytest

from opx import sdp
from opx.gateway.media.interface import Side
from opx.sip import events
from opx.sip.message import Request
from opx.sip.replaces import DialogName, ReferTo, Replaces
from opx.sip.session import Session
from support.site import INNER, OUTSIDE, Phone, Site, description
from support.talking import AT_OFFICE, AT_PHONE, WITHIN, name_of, refer, site_with, talking


def asked(site: Site) -> events.TransferAsked:
    event = site.icp.events[-1]
    assert isinstance(event, events.TransferAsked)
    return event


def progress(phone: Phone) -> list[events.TransferProgress]:
    return [event for event in phone.events if isinstance(event, events.TransferProgress)]


# --- the ICP knows REFER


def test_a_blind_transfer_is_passed_on_and_its_progress_comes_back() -> None:
    site, phone = site_with(refer=True)
    session, office = talking(site, phone)
    statuses = refer(session, "1003")
    site.wire.deliver()
    assert str(asked(site).refer_to) == "<sip:1003@10.9.8.20>"
    office.answer_transfer(asked(site).id, 202)
    office.notify_transfer(180, False)
    office.notify_transfer(200, True)
    site.wire.deliver()
    assert statuses == [202]
    assert [(event.status, event.over) for event in progress(phone)] == [
        (100, False),
        (100, False),
        (180, False),
        (200, True),
    ]
    office.hang_up()
    site.wire.advance(60)
    assert session.ended and len(site.signalling.calls) == 0
    assert site.signalling.set_agent.dialogs == site.signalling.icp_agent.dialogs == 0


def test_a_target_leads_to_the_devices_own_icp_whatever_host_it_names() -> None:
    site, phone = site_with(refer=True)
    session, _ = talking(site, phone)
    session.refer(ReferTo.parse("<sip:1003@evil.example:5099;transport=tls>"), lambda status: None)
    site.wire.deliver()
    assert str(asked(site).refer_to) == "<sip:1003@10.9.8.20>"


def test_an_attended_transfer_names_the_icps_dialog() -> None:
    site, phone = site_with(refer=True)
    first, office = talking(site, phone, "1002")
    second, other = talking(site, phone, "1003")
    refer(first, "1003", Replaces(name_of(second)))
    site.wire.deliver()
    wanted = asked(site).refer_to.replaces
    assert wanted is not None
    dialog = other.dialog
    assert dialog is not None
    # As the ICP itself would be asked to replace it.
    assert wanted.dialog == DialogName(dialog.call_id, dialog.local_tag, dialog.remote_tag)
    office.answer_transfer(asked(site).id, 202)
    office.notify_transfer(200, True)
    site.wire.deliver()
    assert progress(phone)[-1] == events.TransferProgress(200, True)


def test_an_unknown_dialog_is_481_and_the_call_goes_on() -> None:
    site, phone = site_with(refer=True)
    session, office = talking(site, phone)
    statuses = refer(session, "1003", Replaces(DialogName("nobody", "knows", "it")))
    site.wire.deliver()
    assert statuses == [202]
    assert progress(phone)[-1] == events.TransferProgress(481, True)
    assert session.up and office.up
    assert not any(isinstance(event, events.TransferAsked) for event in site.icp.events)


def test_the_dialog_of_another_device_is_as_good_as_unknown() -> None:
    site, phone = site_with(refer=True)
    other = site.phone(2, port=40002)
    other.node.serve(WITHIN)
    other.register()
    theirs, _ = talking(site, other, "1003")
    mine, _ = talking(site, phone)
    refer(mine, "1003", Replaces(name_of(theirs)))
    site.wire.deliver()
    assert progress(phone)[-1] == events.TransferProgress(481, True)


def test_a_target_that_still_rings_is_called_anew() -> None:
    site, phone = site_with(refer=True)
    first, _ = talking(site, phone)
    second = phone.call("1003")
    # The phone has an early dialog only by what rings; it names it all the same.
    leg = next(c for c in site.signalling.calls.of(1) if c.number == "1003").set_leg
    assert leg is not None and leg.dialog is not None
    refer(first, "1003", Replaces(DialogName(leg.dialog.call_id, leg.dialog.local_tag, leg.dialog.remote_tag)))
    site.wire.deliver()
    assert second.ended
    asked_for = [event for event in site.icp.events if isinstance(event, events.TransferAsked)]
    assert [event.refer_to.replaces for event in asked_for] == [None]


@pytest.mark.parametrize(("answer", "seen"), [(603, 603), (403, 403), (481, 503)])
def test_a_refusal_of_the_icp_is_passed_on_unless_it_would_end_the_call(answer: int, seen: int) -> None:
    site, phone = site_with(refer=True)
    session, office = talking(site, phone)
    statuses = refer(session, "1003")
    site.wire.deliver()
    if answer == 481:
        site.wire.lose = lambda carried: carried.what == "200" and False
    office.answer_transfer(asked(site).id, answer)
    site.wire.deliver()
    assert statuses == [seen]
    assert session.up


def test_the_progress_is_heard_after_the_set_has_hung_up() -> None:
    site, phone = site_with(refer=True)
    session, office = talking(site, phone)
    refer(session, "1003")
    site.wire.deliver()
    office.answer_transfer(asked(site).id, 202)
    site.wire.deliver()
    session.hang_up()
    site.wire.deliver()
    office.notify_transfer(200, True)
    site.wire.deliver()
    assert progress(phone)[-1] == events.TransferProgress(200, True)
    site.wire.advance(60)
    assert site.signalling.set_agent.dialogs == site.signalling.icp_agent.dialogs == 0


# --- the ICP asks a set


def test_an_icp_that_transfers_by_the_set_shows_it_no_inside_dialog() -> None:
    site, phone = site_with(refer=True)
    session, office = talking(site, phone)
    inside = DialogName("call-1@10.9.8.20", "pbx-tag", "other-tag")
    target = ReferTo(ReferTo.parse("sip:1003@10.9.8.20").uri, Replaces(inside))
    statuses: list[int] = []
    office.refer(target, statuses.append)
    site.wire.deliver()
    event = phone.events[-1]
    assert isinstance(event, events.TransferAsked)
    assert str(event.refer_to.uri) == f"sip:1003@{OUTSIDE}:5060"
    session.answer_transfer(event.id, 202)
    # The phone does as it was told, and the ICP gets the dialog that it named.
    assert event.refer_to.replaces is not None
    phone.call("1003", headers=(("replaces", str(event.refer_to.replaces)),))
    invite = next(c for c in reversed(site.wire.log) if c.what == "INVITE" and c.target == site.icp.address)
    assert invite.message.get("replaces") == str(Replaces(inside))
    session.notify_transfer(200, True)
    site.wire.deliver()
    assert statuses == [202]
    assert site.icp.events[-1] == events.TransferProgress(200, True)
    assert INNER.findall(site.set_side_bytes()) == []


# --- the ICP knows no REFER


@pytest.mark.parametrize("silent", [True, False], ids=["says nothing of methods", "lists its methods"])
def test_a_blind_transfer_is_carried_out_here(silent: bool) -> None:
    site, phone = site_with(refer=False)
    session, office = talking(site, phone)
    if silent:
        leg = site.signalling.calls.of(1)[0].icp_leg
        assert leg is not None
        leg.usage._allow = []
    statuses = refer(session, "1003")
    site.wire.deliver()
    assert statuses == [202]
    target = site.icp.sessions[-1]
    assert target is not office
    target.accept(description("10.9.8.103", 6300))
    site.wire.deliver()
    offered = site.icp.events[-1]
    assert isinstance(offered, events.Offered)
    audio = sdp.parse(offered.sdp).audio
    assert audio is not None and (audio.address, audio.port) == ("10.9.8.103", 6300)
    office.answer_offer(description(*AT_OFFICE, version=2))
    site.wire.deliver()
    assert [(event.status, event.over) for event in progress(phone)] == [(100, False), (180, False), (200, True)]
    assert session.ended and office.up and target.up
    assert site.icp.events[-1] == events.Confirmed(description(*AT_OFFICE, version=2))
    assert len(site.signalling.calls) == 0 and len(site.signalling.calls.transfers) == 1
    assert site.desk.open_calls == set()
    office.hang_up()
    site.wire.advance(60)
    assert target.ended and len(site.signalling.calls.transfers) == 0
    assert site.signalling.set_agent.dialogs == site.signalling.icp_agent.dialogs == 0
    assert "transfer to 1003: done" in site.texts()


def test_a_set_may_hang_up_while_the_target_still_rings() -> None:
    site, phone = site_with(refer=False)
    session, office = talking(site, phone)
    refer(session, "1003")
    site.wire.deliver()
    session.hang_up()
    site.wire.deliver()
    target = site.icp.sessions[-1]
    assert office.up
    target.accept(description("10.9.8.103", 6300))
    site.wire.deliver()
    office.answer_offer(description(*AT_OFFICE, version=2))
    site.wire.deliver()
    assert office.up and target.up and len(site.signalling.calls.transfers) == 1
    target.hang_up()
    site.wire.deliver()
    assert office.ended


@pytest.mark.parametrize("gone", [True, False], ids=["the set has hung up", "the set is there"])
def test_a_target_that_is_busy_gives_the_call_back(gone: bool) -> None:
    site, phone = site_with(refer=False)
    session, office = talking(site, phone)
    refer(session, "1003")
    site.wire.deliver()
    if gone:
        session.hang_up()
        site.wire.deliver()
    site.icp.sessions[-1].reject(486)
    site.wire.deliver()
    assert progress(phone)[-1] == events.TransferProgress(486, True)
    assert office.up is not gone
    assert len(site.signalling.calls.transfers) == 0
    if not gone:
        session.offer(description(*AT_PHONE, sdp.Direction.SENDONLY, 2))
        site.wire.deliver()
        assert isinstance(site.icp.events[-1], events.Offered)


def test_a_partner_that_hangs_up_meanwhile_ends_the_call_and_the_attempt() -> None:
    site, phone = site_with(refer=False)
    session, office = talking(site, phone)
    refer(session, "1003")
    site.wire.deliver()
    office.hang_up()
    site.wire.advance(40)
    assert session.ended and site.icp.sessions[-1].ended
    assert len(site.signalling.calls) == len(site.signalling.calls.transfers) == 0


def test_an_attended_transfer_is_carried_out_here() -> None:
    site, phone = site_with(refer=False)
    first, one = talking(site, phone, "1002")
    second, other = talking(site, phone, "1003")
    refer(first, "1003", Replaces(name_of(second)))
    site.wire.deliver()
    assert one.offered
    one.answer_offer(description("10.9.8.101", 6100, version=2))
    site.wire.deliver()
    assert other.offered
    other.answer_offer(description("10.9.8.103", 6300, version=2))
    site.wire.deliver()
    assert progress(phone)[-1] == events.TransferProgress(200, True)
    assert first.ended and second.ended and one.up and other.up
    assert site.desk.open_calls == set()
    one.hang_up()
    site.wire.advance(60)
    assert other.ended
    assert site.signalling.set_agent.dialogs == site.signalling.icp_agent.dialogs == 0


def test_an_attended_transfer_that_is_refused_leaves_both_calls() -> None:
    site, phone = site_with(refer=False)
    first, one = talking(site, phone, "1002")
    second, other = talking(site, phone, "1003")
    refer(first, "1003", Replaces(name_of(second)))
    site.wire.deliver()
    one.refuse_offer(488)
    site.wire.deliver()
    assert progress(phone)[-1] == events.TransferProgress(488, True)
    assert first.up and second.up and one.up and other.up


def test_a_disabled_device_loses_what_it_transferred() -> None:
    site, phone = site_with(refer=False)
    session, office = talking(site, phone)
    refer(session, "1003")
    site.wire.deliver()
    target = site.icp.sessions[-1]
    target.accept(description("10.9.8.103", 6300))
    site.wire.deliver()
    office.answer_offer(description(*AT_OFFICE, version=2))
    site.wire.deliver()
    site.devices = site.devices[1:]
    site.load()
    site.wire.deliver()
    assert office.ended and target.ended


# --- INVITE with Replaces


def invite_replacing(site: Site, session: Session, *, early: bool = False) -> Session:
    dialog = session.dialog
    assert dialog is not None
    wanted = Replaces(DialogName(dialog.call_id, dialog.remote_tag, dialog.local_tag), early)
    origin = sdp.Origin.of("10.9.8.105", 9, 1)
    offer = sdp.encode(sdp.offer("10.9.8.105", 6500, origin=origin, encodings=("PCMA/8000",)))
    return site.icp.call("1001", offer, headers=(("replaces", str(wanted)),))


def test_an_icp_that_replaces_a_call_reaches_a_phone_that_can_with_its_own_dialog() -> None:
    site, phone = site_with(refer=True)
    session, office = talking(site, phone)
    newcomer = invite_replacing(site, office)
    invite = next(c for c in reversed(site.wire.log) if c.what == "INVITE" and c.target == phone.address)
    dialog = session.dialog
    assert dialog is not None
    value = invite.message.get("replaces")
    assert value == str(Replaces(DialogName(dialog.call_id, dialog.local_tag, dialog.remote_tag)))
    phone.sessions[-1].accept(description(*AT_PHONE, version=2))
    session.hang_up()
    site.wire.deliver()
    assert newcomer.up and office.ended and phone.sessions[-1].up


def test_a_phone_that_cannot_gets_its_partner_changed_by_the_gateway() -> None:
    site, phone = site_with(refer=True)
    phone.node.agent.supported_text = "timer"
    session, office = talking(site, phone)
    newcomer = invite_replacing(site, office)
    assert session.offered
    session.answer_offer(description(*AT_PHONE, version=2))
    site.wire.deliver()
    assert newcomer.up and office.ended and session.up
    assert ("connect", Side.ICP.value, "10.9.8.105", "6500") in site.desk.orders
    newcomer.hang_up()
    site.wire.deliver()
    assert session.ended and len(site.signalling.calls) == 0


def test_a_phone_that_refuses_the_change_keeps_its_partner() -> None:
    site, phone = site_with(refer=True)
    phone.node.agent.supported_text = "timer"
    session, office = talking(site, phone)
    newcomer = invite_replacing(site, office)
    session.refuse_offer(488)
    site.wire.deliver()
    assert newcomer.ended and office.up and session.up


def test_an_icp_that_names_no_call_of_the_phone_gets_481() -> None:
    site, phone = site_with(refer=True)
    talking(site, phone)
    replaces = ("replaces", str(Replaces(DialogName("nobody", "knows", "it"))))
    site.icp.call("1001", headers=(replaces,))
    assert site.icp.events[-1] == events.Refused(481)


def test_what_must_be_early_and_is_answered_gets_486() -> None:
    site, phone = site_with(refer=True)
    _, office = talking(site, phone)
    invite_replacing(site, office, early=True)
    assert site.icp.events[-1] == events.Refused(486)


@pytest.mark.parametrize(("value", "status"), [("nobody;to-tag=a;from-tag=b", 481), ("nonsense", 400)])
def test_a_set_that_names_no_call_is_refused(value: str, status: int) -> None:
    site, phone = site_with(refer=True)
    phone.call("1003", headers=(("replaces", value),))
    assert phone.events[-1] == events.Refused(status)
    assert not any(c.what == "INVITE" and c.target == site.icp.address for c in site.wire.log)


def test_two_remote_phones_of_one_gateway_are_joined_by_a_proxy_icp() -> None:
    """The office phone 1002 is asked to replace what phone 1 has with phone 2; it calls phone 2 with its own dialog."""
    site, one = site_with(refer=True)
    two = site.phone(2, port=40002)
    two.node.serve(WITHIN)
    two.register()
    first, office = talking(site, one, "1002")
    second, to_two = talking(site, one, "1001")
    # What the ICP makes of the call to phone 2.
    from_icp = site.icp.call("1002", description("10.9.8.20", 6900))
    at_two = two.sessions[-1]
    at_two.accept(description("192.168.1.8", 41000))
    site.wire.deliver()
    refer(first, "1002", Replaces(name_of(second)))
    site.wire.deliver()
    named = asked(site).refer_to.replaces
    dialog = to_two.dialog
    assert named is not None and dialog is not None
    assert named.dialog == DialogName(dialog.call_id, dialog.local_tag, dialog.remote_tag)
    # As a back-to-back ICP does: it knows which leg toward phone 2 belongs to that dialog.
    leg = from_icp.dialog
    assert leg is not None
    replaces = Replaces(DialogName(leg.call_id, leg.remote_tag, leg.local_tag))
    newcomer = site.icp.call("1002", description("10.9.8.102", 6200), headers=(("replaces", str(replaces)),))
    mapped = [c for c in site.wire.log if c.what == "INVITE" and c.target == two.address][-1].message
    assert isinstance(mapped, Request)
    own = at_two.dialog
    assert own is not None
    assert mapped.get("replaces") == str(Replaces(DialogName(own.call_id, own.local_tag, own.remote_tag)))
    two.sessions[-1].accept(description("192.168.1.8", 41000, version=2))
    at_two.hang_up()
    site.wire.deliver()
    assert newcomer.up and from_icp.ended and office.up
    assert INNER.findall(site.set_side_bytes()) == []
