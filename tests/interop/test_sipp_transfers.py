"""sipp as the remote phone and as its ICP, both sides challenged: REFER and Replaces, and dialogs that nobody knows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.live_gateway import FlowSite, flow_site, icp_answers, icp_calls, phone_answers, phone_calls
from support.network import LoopbackNetwork
from support.programs import needs_program
from support.sipp_flow import KNOWS_REFER, Party, audio, tells, told

pytestmark = needs_program("sipp")

NOBODY = "Replaces: nobody@knows;to-tag=a;from-tag=b\n"


@pytest.fixture
async def site(loopback: LoopbackNetwork, tmp_path: Path) -> AsyncIterator[FlowSite]:
    async with flow_site(loopback, tmp_path) as started:
        yield started


def talking() -> tuple[Party, Party]:
    phone = phone_calls().invite(audio(), KNOWS_REFER).expect(200).ack()
    return phone, icp_answers().invited().reply(200, audio(), KNOWS_REFER).receive("ACK")


async def test_a_transfer_that_the_icp_carries_out_is_told_step_by_step(site: FlowSite) -> None:
    phone, icp = talking()
    phone.request("REFER", headers="Refer-To: <sip:1102@elsewhere.example;transport=tcp>\n").expect(202)
    told(told(told(phone, 100), 180), 200, over=True).hang_up()
    # Whatever host a phone names, its own ICP is meant.
    icp.receive("REFER", has={"Refer-To:": f"<sip:1102@{site.pbx_address}>"}).reply(202, to="REFER")
    tells(tells(icp, "180 Ringing"), "200 OK", over=True).hung_up()
    await site.flow(phone, icp)


async def test_a_transfer_that_the_icp_refuses_leaves_the_call(site: FlowSite) -> None:
    phone, icp = talking()
    phone.request("REFER", headers="Refer-To: <sip:1102@[remote_ip]>\n").expect(603).hang_up()
    icp.receive("REFER").reply(603, to="REFER").hung_up()
    await site.flow(phone, icp)


async def test_a_transfer_that_fails_leaves_the_call(site: FlowSite) -> None:
    phone, icp = talking()
    phone.request("REFER", headers="Refer-To: <sip:1102@[remote_ip]>\n").expect(202)
    told(told(phone, 100), 486, over=True).hang_up()
    icp.receive("REFER").reply(202, to="REFER")
    tells(icp, "486 Busy Here", over=True).hung_up()
    await site.flow(phone, icp)


async def test_an_icp_that_transfers_by_the_phone(site: FlowSite) -> None:
    phone, icp = talking()
    # The phone has acknowledged by then, for its key has come.
    phone.request("INFO", "Signal=1\nDuration=100\n", kind="application/dtmf-relay").expect(200)
    icp.receive("INFO").reply(200, to="INFO")
    icp.request("REFER", headers=f"Refer-To: <sip:1102@{site.pbx_address}>\n").expect(202)
    told(told(icp, 100), 200, over=True).hang_up()
    inside = site.network.at("20")
    phone.receive("REFER", has={"Refer-To:": f"sip:1102@{site.outside}"}, lacks={"Refer-To:": inside})
    tells(phone.reply(202, to="REFER"), "200 OK", over=True).hung_up()
    await site.flow(phone, icp)


async def test_an_attended_transfer_to_an_unknown_dialog_is_told_481(site: FlowSite) -> None:
    phone, icp = talking()
    name = "nobody%40knows%3Bto-tag%3Da%3Bfrom-tag%3Db"
    phone.request("REFER", headers=f"Refer-To: <sip:1102@[remote_ip]?Replaces={name}>\n").expect(202)
    told(told(phone, 100), 481, over=True).hang_up()
    icp.hung_up()
    await site.flow(phone, icp)


async def test_a_phone_that_replaces_an_unknown_dialog_gets_481(site: FlowSite) -> None:
    await site.alone(phone_calls().invite(audio(), NOBODY, trying=False).expect(481).acknowledge_refusal())


async def test_an_icp_that_replaces_an_unknown_dialog_gets_481(site: FlowSite) -> None:
    icp = icp_calls().invite(audio(), NOBODY, challenged=False, trying=False).expect(481).acknowledge_refusal()
    phone = phone_answers().receive("INVITE")
    with site.phone(phone) as quiet:
        quiet.listen()
        await site.icp_alone(icp)
        assert quiet.running


async def test_an_icp_replaces_a_call_of_a_phone_that_knows_replaces(site: FlowSite) -> None:
    icp = icp_calls().invite(audio(), challenged=False).expect(200).ack()
    header = f"Replaces: {icp.named}\n"
    icp.new_call("1001").invite(audio(), header, challenged=False).expect(200).ack()
    icp.back_to(1).hang_up()
    icp.back_to(2).hang_up()
    phone = phone_answers().receive("INVITE")
    again = phone.either("Replaces:")
    phone.reply(200, audio(), KNOWS_REFER).receive("ACK").hung_up()
    again.reply(200, audio(), KNOWS_REFER).receive("ACK").hung_up()
    await site.flow(phone, icp, phone_calls=2)


async def test_the_gateway_connects_a_phone_without_replaces_anew(site: FlowSite) -> None:
    icp = icp_calls().invite(audio(), challenged=False).expect(200).ack()
    icp.request("INFO", "Signal=1\nDuration=100\n", kind="application/dtmf-relay").expect(200)
    header = f"Replaces: {icp.named}\n"
    icp.new_call("1001").invite(audio(), header, challenged=False)
    icp.back_to(1).hung_up()
    icp.back_to(2).expect(200, has={"body": "m=audio"}).ack().hang_up()
    phone = phone_answers().receive("INVITE").reply(200, audio()).receive("ACK").receive("INFO").reply(200, to="INFO")
    phone.receive("INVITE", has={"body": "m=audio"}).reply(200, audio(2)).receive("ACK").hung_up()
    await site.flow(phone, icp)
