"""Transfers with Kamailio as the ICP: who is transferred, and where to, are phones of their own behind the proxy."""

from pathlib import Path

import pytest

from support.live_kamailio import kamailio_site, office, remote
from support.network import LoopbackNetwork
from support.programs import needs_program
from support.sipp_flow import KNOWS_REFER, audio, tells, told

pytestmark = [needs_program("kamailio"), needs_program("sipp")]

NO_REFER = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO\n"
SDP = {"body": "m=audio"}


async def test_a_blind_transfer_that_the_far_phone_carries_out(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with kamailio_site(loopback, tmp_path, "1101", "1102") as site:
        phone = remote(1, "1101").invite(audio(), KNOWS_REFER).expect(200).ack()
        phone.request("REFER", headers="Refer-To: <sip:1102@[remote_ip]>\n").expect(202)
        told(told(told(phone, 100), 180), 200, over=True).hang_up()

        far = office("1101").receive("INVITE").reply(200, audio(), KNOWS_REFER).receive("ACK")
        far.receive("REFER", has={"Refer-To:": f"<sip:1102@{site.pbx_address}>"}).reply(202, to="REFER")
        far.new_call("1102").invite(audio()).expect(180).expect(200).ack()
        tells(tells(far.back_to(1), "180 Ringing"), "200 OK", over=True).hung_up()
        far.back_to(2).hang_up()

        target = office("1102").receive("INVITE").reply(180).reply(200, audio()).receive("ACK").hung_up()
        await site.play(site.desk(target), site.desk(far), site.phone(phone))


@pytest.mark.parametrize("refused", [False, True], ids=["Allow lacks REFER", "REFER gets 405"])
async def test_a_blind_transfer_that_the_gateway_carries_out(
    loopback: LoopbackNetwork, tmp_path: Path, refused: bool
) -> None:
    async with kamailio_site(loopback, tmp_path, "1101", "1102") as site:
        phone = remote(1, "1101").invite(audio(), KNOWS_REFER).expect(200).ack()
        phone.request("REFER", headers="Refer-To: <sip:1102@[remote_ip]>\n").expect(202)
        told(told(told(phone, 100), 180), 200, over=True).hung_up()

        far = office("1101").receive("INVITE").reply(200, audio(), "" if refused else NO_REFER).receive("ACK")
        if refused:
            far.receive("REFER").reply(405, to="REFER")
        far.receive("INVITE", has=SDP).reply(200, audio(2)).receive("ACK").hang_up()

        target = office("1102").receive("INVITE", lacks={"Content-Type:": "sdp"}).reply(180).reply(200, audio())
        target.receive("ACK", has=SDP).hung_up()
        await site.play(site.desk(target), site.desk(far), site.phone(phone))


async def test_a_target_that_is_busy_leaves_the_call_as_it_was(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with kamailio_site(loopback, tmp_path, "1101", "1102") as site:
        phone = remote(1, "1101").invite(audio(), KNOWS_REFER).expect(200).ack()
        phone.request("REFER", headers="Refer-To: <sip:1102@[remote_ip]>\n").expect(202)
        told(told(phone, 100), 486, over=True).hang_up()
        far = office("1101").receive("INVITE").reply(200, audio(), NO_REFER).receive("ACK").hung_up()
        target = office("1102").receive("INVITE").reply(486).receive("ACK")
        await site.play(site.desk(target), site.desk(far), site.phone(phone))


async def test_an_attended_transfer_that_the_gateway_carries_out(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with kamailio_site(loopback, tmp_path, "1101", "1102") as site:
        phone = remote(1, "1101").invite(audio(), KNOWS_REFER).expect(200).ack()
        phone.new_call("1102").invite(audio(), KNOWS_REFER).expect(200).ack()
        replaces = phone.replaces
        phone.back_to(1).request("REFER", headers=f"Refer-To: <sip:1102@[remote_ip]?Replaces={replaces}>\n").expect(202)
        told(told(phone, 100), 200, over=True).hung_up()
        phone.back_to(2).hung_up()

        far = office("1101").receive("INVITE").reply(200, audio(), NO_REFER).receive("ACK")
        far.receive("INVITE", lacks={"Content-Type:": "sdp"}).reply(200, audio(2)).receive("ACK", has=SDP).hang_up()
        target = office("1102").receive("INVITE").reply(200, audio(), NO_REFER).receive("ACK")
        target.receive("INVITE", has=SDP).reply(200, audio(2)).receive("ACK").hung_up()
        await site.play(site.desk(target), site.desk(far), site.phone(phone))


NAME = "Replaces=([0-9a-f]+)%3Bto-tag%3D([0-9a-f]+)%3Bfrom-tag%3D([0-9a-f]+)"


@pytest.mark.parametrize("knows", [True, False], ids=["second phone knows Replaces", "second phone does not"])
async def test_an_attended_transfer_between_two_remote_phones_and_the_office(
    loopback: LoopbackNetwork, tmp_path: Path, knows: bool
) -> None:
    """Phone 1 talks with 1101 and with phone 2, and connects these two; 1101 calls phone 2 with Replaces."""
    async with kamailio_site(loopback, tmp_path, "1101") as site:
        phone = remote(1, "1101").invite(audio(), KNOWS_REFER).expect(200).ack()
        phone.new_call("1002").invite(audio(), KNOWS_REFER).expect(200).ack()
        replaces = phone.replaces
        phone.back_to(1).request("REFER", headers=f"Refer-To: <sip:1002@[remote_ip]?Replaces={replaces}>\n").expect(202)
        told(phone, 100)
        if not knows:
            # The gateway has connected phone 2 anew, so that this call has ended by now.
            phone.back_to(2).hung_up()
        told(phone.back_to(1), 200, over=True).hung_up()
        if knows:
            phone.back_to(2).hang_up()

        far = office("1101").receive("INVITE").reply(200, audio(), KNOWS_REFER).receive("ACK")
        far.receive("REFER", takes={"Refer-To:": (NAME, "id,to,from")}).reply(202, to="REFER")
        header = "Replaces: [$id];to-tag=[$to];from-tag=[$from]\n"
        far.new_call("1002").invite(audio(), header).expect(200).ack()
        tells(far.back_to(1), "200 OK", over=True).hang_up()
        far.back_to(2).hang_up()

        two = remote(2).receive("INVITE")
        if knows:
            two.either("Replaces:").reply(200, audio()).receive("ACK").hung_up()
            two.reply(200, audio(), KNOWS_REFER).receive("ACK").hung_up()
        else:
            two.reply(200, audio(), NO_REFER).receive("ACK").receive("INVITE").reply(200, audio(2)).receive(
                "ACK"
            ).hung_up()
        parties = [site.phone(two, "two", home=2, calls=2 if knows else 1), site.desk(far), site.phone(phone)]
        await site.play(*parties)
