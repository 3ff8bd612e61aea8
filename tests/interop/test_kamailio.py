"""Kamailio as the ICP: digest with credentials of its own, and a proxy that stays in the way of every call."""

from pathlib import Path

import pytest

from opx.gateway.repository import DeviceSpec
from support.live_kamailio import kamailio_site, office, remote
from support.network import LoopbackNetwork
from support.programs import needs_program
from support.sipp_flow import Party, audio
from support.sipp_run import play

pytestmark = [needs_program("kamailio"), needs_program("sipp")]

HOLD, HELD = audio(2, "sendonly"), audio(2, "recvonly")


def phone_first(one: Party, other: Party) -> tuple[Party, Party]:
    return (one, other) if one.user == "tw1" else (other, one)


@pytest.mark.parametrize("ends", ["caller", "callee"])
async def test_calls_each_way_with_hold(loopback: LoopbackNetwork, tmp_path: Path, ends: str) -> None:
    async with kamailio_site(loopback, tmp_path, "1101") as site:
        by_proxy = {"Via:": site.pbx_address}
        for caller, callee in ((remote(1, "1101"), office("1101")), (office("1101", "1001"), remote(1))):
            caller.invite(audio()).expect(180).expect(200).ack()
            callee.receive("INVITE").reply(180).reply(200, audio()).receive("ACK")
            caller.reinvite(HOLD).expect(200, has={"body": "recvonly"}).ack()
            callee.receive("INVITE", has={"body": "sendonly"}).reply(200, HELD).receive("ACK")
            first, last = (caller, callee) if ends == "caller" else (callee, caller)
            if ends == "callee":
                caller.request("INFO", "Signal=1\nDuration=100\n", kind="application/dtmf-relay").expect(200)
                callee.receive("INFO").reply(200, to="INFO")
            first.hang_up()
            last.receive("BYE", has=by_proxy if last.user == "1101" else {}).reply(200, to="BYE")
            await site.talk(*phone_first(caller, callee))


async def test_giving_up_and_busy_each_way(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with kamailio_site(loopback, tmp_path, "1101") as site:
        for one, other in ((remote(1, "1101"), office("1101")), (office("1101", "1001"), remote(1))):
            one.invite(audio()).expect(180).cancel().expect(200).expect(487).acknowledge_refusal()
            other.receive("INVITE").reply(180).receive("CANCEL").reply(200, to="CANCEL").reply(487).receive("ACK")
            await site.talk(*phone_first(one, other))
        for one, other in ((remote(1, "1101"), office("1101")), (office("1101", "1001"), remote(1))):
            one.invite(audio()).expect(486).acknowledge_refusal()
            other.receive("INVITE").reply(486).receive("ACK")
            await site.talk(*phone_first(one, other))
        nobody = remote(1, "1199").invite(audio()).expect(404).acknowledge_refusal()
        await site.play(site.phone(nobody))


async def test_two_remote_phones_call_each_other(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with kamailio_site(loopback, tmp_path) as site:
        one = remote(1, "1002").invite(audio()).expect(180).expect(200).ack()
        two = remote(2).receive("INVITE", has={"From:": "1001@"}).reply(180).reply(200, audio()).receive("ACK")
        one.reinvite(HOLD).expect(200, has={"body": "recvonly"}).ack().hang_up()
        two.receive("INVITE", has={"body": "sendonly"}).reply(200, HELD).receive("ACK").hung_up()
        await site.play(site.phone(two, "two", home=2), site.phone(one, "one"))


async def test_wrong_icp_credentials_give_503_and_say_so(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with kamailio_site(loopback, tmp_path) as site:
        await site.gateway.repository.put_device(DeviceSpec("tw3", "set-3-Secret", "Node 1", "1003", "icp-1003-Wrong"))
        await site.gateway.reload()
        phone = remote(3).register(503)
        await play(site.phone(phone, home=3))
        assert any("credentials" in text for text in site.texts()), site.texts()
