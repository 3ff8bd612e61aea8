"""sipp as the remote phone and as its ICP, both sides challenged: what changes while a call goes on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.live_gateway import FlowSite, flow_site, icp_answers, icp_calls, phone_answers, phone_calls
from support.network import LoopbackNetwork
from support.programs import needs_program
from support.sipp_flow import Party, audio

pytestmark = needs_program("sipp")

ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY\n"
PLAIN = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO\n"
RELIABLE = "Require: 100rel\nRSeq: 1\n"
KEY = "Signal=5\nDuration=160\n"
HOLD, HELD = audio(2, "sendonly"), audio(2, "recvonly")


def up(caller: str, *, phone_allow: str = ALLOW, icp_allow: str = ALLOW) -> tuple[Party, Party]:
    """Phone and ICP, talking; `caller` is "phone" or "office".

    A key of the caller tells the other one that its ACK has gone before, so that either may offer something now.
    """
    if caller == "phone":
        phone = phone_calls().invite(audio(), phone_allow).expect(200).ack()
        icp = icp_answers().invited().reply(200, audio(), icp_allow).receive("ACK")
    else:
        icp = icp_calls().invite(audio(), icp_allow, challenged=False).expect(200).ack()
        phone = phone_answers().receive("INVITE").reply(200, audio(), phone_allow).receive("ACK")
    one, other = in_order(caller, phone, icp)
    one.request("INFO", KEY, kind="application/dtmf-relay").expect(200)
    other.receive("INFO", has={"Content-Type:": "application/dtmf-relay", "body": "Signal= ?5"}).reply(200, to="INFO")
    return phone, icp


def in_order(changes: str, phone: Party, icp: Party) -> tuple[Party, Party]:
    """Who changes something, and the other one."""
    return (phone, icp) if changes == "phone" else (icp, phone)


both_callers = pytest.mark.parametrize("caller", ["phone", "office"])
both_changers = pytest.mark.parametrize("changes", ["phone", "office"])


def ends(one: Party, other: Party) -> None:
    """`one`, who was the last to hear of what went before, hangs up."""
    one.hang_up()
    other.hung_up()


@pytest.fixture
async def site(loopback: LoopbackNetwork, tmp_path: Path) -> AsyncIterator[FlowSite]:
    async with flow_site(loopback, tmp_path) as started:
        yield started


# --- re-INVITE


@both_changers
@both_callers
async def test_hold_by_re_invite(site: FlowSite, caller: str, changes: str) -> None:
    phone, icp = up(caller)
    one, other = in_order(changes, phone, icp)
    one.reinvite(HOLD).expect(200, has={"body": "recvonly"}).ack()
    other.receive("INVITE", has={"body": "sendonly"}).reply(200, HELD).receive("ACK")
    ends(one, other)
    await site.flow(phone, icp)


@both_changers
async def test_a_re_invite_without_description(site: FlowSite, changes: str) -> None:
    phone, icp = up("phone")
    one, other = in_order(changes, phone, icp)
    one.reinvite().expect(200, has={"body": "m=audio"}).ack(audio(2))
    other.receive("INVITE", lacks={"Content-Type:": "sdp"}).reply(200, audio(2)).receive("ACK", has={"body": "m=audio"})
    ends(one, other)
    await site.flow(phone, icp)


@both_changers
async def test_a_refused_re_invite_changes_nothing(site: FlowSite, changes: str) -> None:
    phone, icp = up("phone")
    one, other = in_order(changes, phone, icp)
    one.reinvite(HOLD).expect(488).acknowledge_refusal()
    other.receive("INVITE").reply(488).receive("ACK")
    ends(one, other)
    await site.flow(phone, icp)


@both_changers
async def test_a_re_invite_that_is_withdrawn_is_withdrawn_on_the_other_side(site: FlowSite, changes: str) -> None:
    phone, icp = up("phone")
    one, other = in_order(changes, phone, icp)
    one.reinvite(HOLD).cancel().expect(200).expect(487).acknowledge_refusal()
    other.receive("INVITE").reply(100).receive("CANCEL").reply(200, to="CANCEL").reply(487).receive("ACK")
    ends(other, one)
    await site.flow(phone, icp)


async def test_re_invites_that_meet_get_491_and_the_one_under_way_goes_on(site: FlowSite) -> None:
    phone, icp = up("phone")
    phone.reinvite(HOLD).expect(200).ack()
    icp.receive("INVITE").reinvite(audio(2), trying=False).expect(491).acknowledge_refusal()
    icp.reply(200, HELD).receive("ACK")
    ends(phone, icp)
    await site.flow(phone, icp)


async def test_491_of_the_other_side_is_followed_by_another_try(site: FlowSite) -> None:
    phone, icp = up("office")
    phone.reinvite(HOLD).expect(200).ack()
    icp.receive("INVITE").reply(491).receive("ACK").receive("INVITE", has={"body": "sendonly"})
    icp.reply(200, HELD).receive("ACK")
    ends(phone, icp)
    await site.flow(phone, icp)


# --- UPDATE


@both_changers
@both_callers
async def test_hold_by_update(site: FlowSite, caller: str, changes: str) -> None:
    phone, icp = up(caller)
    one, other = in_order(changes, phone, icp)
    one.request("UPDATE", HOLD).expect(200, has={"body": "recvonly"})
    other.receive("UPDATE", has={"body": "sendonly"}).reply(200, HELD, to="UPDATE")
    ends(one, other)
    await site.flow(phone, icp)


@both_changers
async def test_an_update_becomes_a_re_invite_where_the_other_side_has_none(site: FlowSite, changes: str) -> None:
    phone, icp = up("phone", phone_allow=PLAIN, icp_allow=PLAIN)
    one, other = in_order(changes, phone, icp)
    one.request("UPDATE", HOLD).expect(200, has={"body": "recvonly"})
    other.receive("INVITE", has={"body": "sendonly"}).reply(200, HELD).receive("ACK")
    ends(one, other)
    await site.flow(phone, icp)


async def test_an_update_of_the_caller_before_the_answer(site: FlowSite) -> None:
    phone = phone_calls().invite(audio(), f"{ALLOW}Supported: 100rel\n").expect(183, reliable=True).prack().expect(200)
    phone.request("UPDATE", audio(2)).expect(200, has={"body": "m=audio"}).expect(200).ack().hang_up()
    icp = icp_answers().invited().reply(183, audio(), ALLOW + RELIABLE).receive("PRACK").reply(200, to="PRACK")
    icp.receive("UPDATE", has={"body": "m=audio"}).reply(200, audio(2), to="UPDATE").reply(200).receive("ACK").hung_up()
    await site.flow(phone, icp)


async def test_updates_of_both_before_the_answer(site: FlowSite) -> None:
    icp = icp_calls().invite(audio(), f"{ALLOW}Supported: 100rel\n", challenged=False)
    icp.expect(183, reliable=True).prack().expect(200).request("UPDATE", audio(2)).expect(200, has={"body": "m=audio"})
    icp.receive("UPDATE", has={"body": "sendonly"}).reply(200, HELD, to="UPDATE").expect(200).ack().hang_up()
    phone = phone_answers().receive("INVITE").reply(183, audio(), ALLOW + RELIABLE).receive("PRACK")
    phone.reply(200, to="PRACK").receive("UPDATE").reply(200, audio(2), to="UPDATE")
    phone.request("UPDATE", HOLD).expect(200, has={"body": "recvonly"}).reply(200).receive("ACK").hung_up()
    await site.flow(phone, icp)


# --- session timers


async def test_an_icp_that_wants_a_longer_interval_gets_it(site: FlowSite) -> None:
    phone = phone_calls().invite(audio()).expect(200).ack().hang_up()
    icp = icp_answers().invited(has={"Session-Expires:": "1800"}).reply(422, headers="Min-SE: 3600\n").receive("ACK")
    icp.receive("INVITE", has={"Session-Expires:": "3600", "Min-SE:": "3600"})
    icp.reply(200, audio(), "Require: timer\nSession-Expires: 3600;refresher=uac\n").receive("ACK").hung_up()
    await site.flow(phone, icp)


async def test_a_phone_that_wants_a_short_interval_is_told_the_least(site: FlowSite) -> None:
    short, longer = (f"Supported: timer\nSession-Expires: {seconds};refresher=uac\n" for seconds in (60, 120))
    phone = phone_calls().invite(audio(), short, challenged=False, trying=False).expect(422, has={"Min-SE:": "90"})
    phone.acknowledge_refusal().invite(audio(), longer)
    phone.expect(200, has={"Session-Expires:": "120;refresher=uac", "Require:": "timer"}).ack()
    phone.request("UPDATE", headers=longer).expect(200, has={"Session-Expires:": "120"}).hang_up()
    icp = icp_answers().invited().reply(200, audio()).receive("ACK").hung_up()
    await site.flow(phone, icp)


async def test_the_interval_is_a_setting(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite(audio(), "Supported: timer\nSession-Expires: 3600\n")
    phone.expect(200, has={"Session-Expires:": "600;refresher=uas"}).ack().hang_up()
    icp = icp_answers().invited(has={"Session-Expires:": "600"}).reply(200, audio()).receive("ACK").hung_up()
    async with flow_site(loopback, tmp_path, "[calls]\nsession_expires = 600\n") as started:
        await started.flow(phone, icp)


async def test_a_refresh_of_the_icp_stays_on_its_side(site: FlowSite) -> None:
    phone, icp = up("phone")
    icp.reinvite(audio(), "Supported: timer\nSession-Expires: 1800;refresher=uac\n").expect(200).ack().hang_up()
    phone.hung_up()
    await site.flow(phone, icp)


# --- keys


@both_changers
async def test_keys_in_info(site: FlowSite, changes: str) -> None:
    phone, icp = up("phone")
    one, other = in_order(changes, phone, icp)
    one.request("INFO", KEY, kind="application/dtmf-relay").expect(200)
    other.receive("INFO", has={"Content-Type:": "application/dtmf-relay", "body": "Signal= ?5"}).reply(200, to="INFO")
    one.request("INFO", "<picture_fast_update/>\n", kind="application/media_control+xml").expect(415)
    ends(one, other)
    await site.flow(phone, icp)


# --- what a description may ask for


async def test_ptime_is_kept(site: FlowSite) -> None:
    thirty = audio(more="a=ptime:30\n")
    phone = phone_calls().invite(thirty).expect(200, has={"body": "a=ptime:30"}).ack().hang_up()
    icp = icp_answers().invited(has={"body": "a=ptime:30"}).reply(200, thirty).receive("ACK").hung_up()
    await site.flow(phone, icp)


FAX = "v=0\no=sipp 1 2 IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\nm=image 6010 udptl t38\na=T38FaxVersion:0\n"
VIDEO = "m=video 6020 RTP/AVP 96\na=rtpmap:96 H264/90000\n"


@both_changers
async def test_a_change_to_fax_is_refused_and_the_call_goes_on(site: FlowSite, changes: str) -> None:
    phone, icp = up("phone")
    one, other = in_order(changes, phone, icp)
    one.reinvite(FAX).expect(488).acknowledge_refusal()
    one.reinvite(HOLD).expect(200).ack()
    other.receive("INVITE", has={"body": "sendonly"}, lacks={"body": "m=image"}).reply(200, HELD).receive("ACK")
    ends(one, other)
    await site.flow(phone, icp)


async def test_a_call_with_nothing_but_fax_is_refused(site: FlowSite) -> None:
    phone = phone_calls().invite(FAX).expect(488).acknowledge_refusal()
    idle = icp_answers().receive("INVITE")
    with site.icp(idle) as icp:
        icp.listen()
        await site.alone(phone)
        assert icp.running


async def test_video_is_refused_and_audio_goes_on(site: FlowSite) -> None:
    phone = phone_calls().invite(audio(more=VIDEO)).expect(200, has={"body": "m=audio [1-9].*m=video 0 "}).ack()
    icp = icp_answers().invited(has={"body": "m=audio [1-9].*m=video 0 "}).reply(200, audio(more=VIDEO)).receive("ACK")
    ends(phone, icp)
    await site.flow(phone, icp)
