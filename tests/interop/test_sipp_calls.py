"""sipp as the remote phone and as its ICP, both sides challenged: how calls begin and end."""

from pathlib import Path

import pytest

from support.live_gateway import flow_site, icp_answers, icp_calls, phone_answers, phone_calls
from support.network import LoopbackNetwork
from support.programs import needs_program
from support.sipp_flow import audio

pytestmark = needs_program("sipp")

SUPPORTS = "Supported: 100rel\n"
NO_SDP = {"Content-Type:": "sdp"}
SDP = {"body": "m=audio"}


def reliable(number: int) -> str:
    return f"Require: 100rel\nRSeq: {number}\n"


@pytest.mark.parametrize("ends", ["caller", "callee"])
@pytest.mark.parametrize("caller", ["phone", "office"])
async def test_a_call(loopback: LoopbackNetwork, tmp_path: Path, caller: str, ends: str) -> None:
    phone, icp = (phone_calls(), icp_answers()) if caller == "phone" else (phone_answers(), icp_calls())
    one, other = (phone, icp) if caller == "phone" else (icp, phone)
    one.invite(audio(), challenged=caller == "phone").expect(180).expect(200, has=SDP).ack()
    other = icp.invited(has=SDP) if caller == "phone" else phone.receive("INVITE", has=SDP)
    other.reply(180).reply(200, audio()).receive("ACK")
    last, first = (one, other) if ends == "caller" else (other, one)
    last.hang_up()
    first.hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_the_icp_may_ask_for_credentials_with_407(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite(audio()).expect(200).ack().hang_up()
    icp = icp_answers().receive("INVITE", lacks={"Proxy-Authorization:": "."})
    icp.reply(407, headers='Proxy-Authenticate: Digest realm="icp", nonce="n", algorithm=MD5, qop="auth"\n')
    icp.receive("ACK").receive("INVITE", has={"Proxy-Authorization:": 'username="1001".*realm="icp".*nc=00000001'})
    icp.reply(200, audio()).receive("ACK").hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


# --- late offer


async def test_a_late_offer_from_the_phone(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite().expect(180).expect(200, has=SDP).ack(audio()).hang_up()
    icp = icp_answers().invited(lacks=NO_SDP).reply(180).reply(200, audio()).receive("ACK", has=SDP).hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_a_late_offer_from_the_office(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    icp = icp_calls().invite(challenged=False).expect(180).expect(200, has=SDP).ack(audio()).hang_up()
    phone = phone_answers().receive("INVITE", lacks=NO_SDP).reply(180).reply(200, audio())
    phone.receive("ACK", has=SDP).hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


# --- early media and reliable provisional answers


async def test_early_media(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite(audio()).expect(183, has=SDP).expect(200, has=SDP).ack().hang_up()
    icp = icp_answers().invited().reply(183, audio()).reply(200, audio()).receive("ACK").hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_early_media_of_the_phone(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    icp = icp_calls().invite(audio(), challenged=False).expect(183, has=SDP).expect(200, has=SDP).ack().hang_up()
    phone = phone_answers().receive("INVITE").reply(183, audio()).reply(200, audio()).receive("ACK").hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_a_phone_that_requires_100rel_gets_it_from_an_icp_that_lacks_it(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    phone = phone_calls().invite(audio(), "Require: 100rel\n").expect(180, has={"Require:": "100rel"}, reliable=True)
    phone.prack().expect(200).expect(200, has=SDP).ack().hang_up()
    icp = icp_answers().invited(has={"Supported:": "100rel"}).reply(180).reply(200, audio()).receive("ACK").hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_a_phone_without_100rel_gets_plain_answers(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite(audio()).expect(180, lacks={"Require:": "100rel"}).expect(200).ack().hang_up()
    icp = icp_answers().invited(lacks={"Supported:": "100rel"}).reply(180).reply(200, audio()).receive("ACK").hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_an_answer_in_a_reliable_183_and_its_repetition(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite(audio(), SUPPORTS).expect(183, has=SDP, reliable=True).prack().expect(200)
    phone.expect(200, lacks=NO_SDP).ack().hang_up()
    icp = icp_answers().invited().reply(183, audio(), reliable(70))
    icp.receive("PRACK", has={"RAck:": " 70 2 INVITE"}, lacks=NO_SDP).reply(183, audio(), reliable(70))
    icp.reply(200, to="PRACK").reply(200).receive("ACK").hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_an_offer_in_a_reliable_183_is_answered_in_the_prack(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite("", SUPPORTS).expect(183, has=SDP, reliable=True).prack(audio()).expect(200)
    phone.expect(200, lacks=NO_SDP).ack().hang_up()
    icp = icp_answers().invited(lacks=NO_SDP).reply(183, audio(), reliable(1))
    icp.receive("PRACK", has=SDP).reply(200, to="PRACK").reply(200).receive("ACK", lacks=NO_SDP).hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


@pytest.mark.parametrize("body", ["", audio()], ids=["without description", "with description"])
async def test_reliable_answers_of_the_phone(loopback: LoopbackNetwork, tmp_path: Path, body: str) -> None:
    icp = icp_calls().invite(audio(), SUPPORTS, challenged=False).expect(180, reliable=True).prack().expect(200)
    icp.expect(200).ack().hang_up()
    phone = phone_answers().receive("INVITE", has={"Supported:": "100rel"}).reply(180, body, reliable(9))
    phone.receive("PRACK", has={"RAck:": " 9 1 INVITE"}).reply(200, to="PRACK")
    phone.reply(200, "" if body else audio()).receive("ACK").hung_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


# --- giving up


async def test_the_phone_gives_up(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite(audio()).expect(180).cancel().expect(200).expect(487).acknowledge_refusal()
    icp = icp_answers().invited().reply(180).receive("CANCEL").reply(200, to="CANCEL").reply(487).receive("ACK")
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_the_office_gives_up_because_another_phone_answered(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    reason = 'Reason: SIP;cause=200;text="Call completed elsewhere"\n'
    icp = icp_calls().invite(audio(), challenged=False).expect(180).cancel(reason).expect(200).expect(487)
    icp.acknowledge_refusal()
    phone = phone_answers().receive("INVITE").reply(180).receive("CANCEL", has={"Reason:": "cause=200"})
    phone.reply(200, to="CANCEL").reply(487).receive("ACK")
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    phone = phone_calls().invite(audio()).expect(180).cancel().expect(200).expect(487).acknowledge_refusal()
    icp = icp_answers().invited().reply(180).receive("CANCEL").reply(200, audio()).receive("ACK")
    icp.hung_up().reply(481, to="CANCEL")
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_a_second_answer_behind_a_forking_icp_is_acknowledged_and_ended(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    phone = phone_calls().invite(audio()).expect(180).expect(183).expect(200).ack().hung_up()
    icp = icp_answers().invited().reply(180).reply(183, tag="-other").reply(200, audio()).receive("ACK")
    icp.reply(200, audio(), tag="-other").receive("ACK", has={"To:": "-other"})
    icp.receive("BYE", has={"To:": "-other"}).reply(200, to="BYE").hang_up()
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


# --- refusals


@pytest.mark.parametrize(
    ("said", "heard", "retry"),
    [(404, 404, ""), (486, 486, ""), (503, 503, "30"), (600, 600, "60"), (603, 603, ""), (380, 480, "")],
)
async def test_a_refusal_of_the_office(
    loopback: LoopbackNetwork, tmp_path: Path, said: int, heard: int, retry: str
) -> None:
    headers = f"Retry-After: {retry}\n" if retry else ""
    contact = "Contact: <sip:1102@192.0.2.9>\n" if said == 380 else ""
    has = {"Retry-After:": retry} if retry else {}
    phone = phone_calls().invite(audio()).expect(heard, has=has, lacks={"Contact:": "192"}).acknowledge_refusal()
    icp = icp_answers().invited().reply(said, headers=headers + contact).receive("ACK")
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_a_redirection_is_followed_at_the_own_icp(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    phone = phone_calls().invite(audio()).expect(200, lacks={"Contact:": "1102"}).ack().hang_up()
    icp = icp_answers().receive("INVITE")
    icp.either("To:", "sip:1102@").reply(200, audio()).receive("ACK").hung_up()
    icp.reply(302, headers="Contact: <sip:1102@192.0.2.9>\n").receive("ACK")
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp, icp_calls=2)


@pytest.mark.parametrize("said", [480, 486, 603])
async def test_a_refusal_of_the_phone(loopback: LoopbackNetwork, tmp_path: Path, said: int) -> None:
    icp = icp_calls().invite(audio(), challenged=False).expect(said).acknowledge_refusal()
    phone = phone_answers().receive("INVITE").reply(said).receive("ACK")
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)


async def test_wrong_icp_credentials_give_the_phone_503(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    challenge = 'WWW-Authenticate: Digest realm="icp", nonce="n", algorithm=MD5, qop="auth"\n'
    phone = phone_calls().invite(audio()).expect(503).acknowledge_refusal()
    icp = icp_answers().receive("INVITE").reply(401, headers=challenge).receive("ACK")
    icp.receive("INVITE").reply(401, headers=challenge).receive("ACK")
    async with flow_site(loopback, tmp_path) as site:
        await site.flow(phone, icp)
        assert any("answered 401" in text for text in site.texts())
