"""baresip at home, sipp in the office, Kamailio as the ICP: nothing but the gateway is ours, audio goes both ways."""

import asyncio
from pathlib import Path

from support.baresip import remote_baresip
from support.live_kamailio import kamailio_site, office
from support.network import LoopbackNetwork
from support.phones import until
from support.programs import needs_program
from support.sipp_flow import audio

pytestmark = [needs_program("kamailio"), needs_program("sipp"), needs_program("baresip")]

CALL_MILLISECONDS = 2000


async def test_baresip_calls_the_office_and_hears_itself(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with kamailio_site(loopback, tmp_path, "1101") as site:
        desk = office("1101").receive("INVITE").reply(180).reply(200, audio()).receive("ACK").hung_up()
        with site.desk(desk, echo=True) as answering, remote_baresip(site, tmp_path / "baresip") as phone:
            await until(lambda: "200 OK" in phone.text)
            await asyncio.to_thread(phone.command, "dial", f"sip:1101@{site.outside}")
            await asyncio.to_thread(phone.wait_for, "Call established")
            await asyncio.sleep(CALL_MILLISECONDS / 1000)
            await asyncio.to_thread(phone.command, "hangup")
            assert not (failure := await asyncio.to_thread(answering.verdict)), failure
            await until(lambda: len(site.gateway.signalling.calls) == 0)
            await asyncio.to_thread(phone.stop)
            assert phone.heard_itself(), "\n".join(site.texts())


async def test_the_office_calls_baresip_which_hears_itself(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with kamailio_site(loopback, tmp_path, "1101") as site:
        desk = office("1101", "1001").invite(audio()).expect(180).expect(200).ack().pause(CALL_MILLISECONDS).hang_up()
        with remote_baresip(site, tmp_path / "baresip") as phone:
            await until(lambda: "200 OK" in phone.text)
            with site.desk(desk, echo=True) as calling:
                assert not (failure := await asyncio.to_thread(calling.verdict)), failure
            await until(lambda: len(site.gateway.signalling.calls) == 0)
            await asyncio.to_thread(phone.stop)
            assert phone.heard_itself(), "\n".join(site.texts())
