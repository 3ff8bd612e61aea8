"""sipp as a phone of the PBX node that we did not write: forwarding, pickup, transfer and message lamp."""

import asyncio
from pathlib import Path

from support.live import LiveSite, live_office
from support.network import LoopbackNetwork
from support.phones import phones, until
from support.programs import OutsideProgram, needs_program
from support.sipp import ANSWER, CALL, Sipp

pytestmark = needs_program("sipp")

NUMBERS = ("1101", "1102", "1103")

DIVERTED = ANSWER.replace(
    '<recv request="INVITE"/>',
    """<recv request="INVITE">
    <action>
      <ereg regexp="sip:1102@.*;reason=unconditional" search_in="hdr" header="Diversion:" check_it="true"
            assign_to="1"/>
      <ereg regexp="sip:1102@.*index=1,.*index=1.1" search_in="hdr" header="History-Info:" check_it="true"
            assign_to="2"/>
    </action>
  </recv>
  <Reference variables="1,2"/>""",
)
"""The phone that a call was forwarded to is told by whom."""

TOLD = CALL.replace('<recv response="180" optional="true"/>', '<recv response="181"/>\n  <recv response="180"/>')
"""The caller is told that the call is being forwarded, and is not sent elsewhere by a 302."""

OK = """<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>"""


def notified(pattern: str, *, where: str = 'search_in="body"') -> str:
    return f"""<recv request="NOTIFY">
    <action><ereg regexp="{pattern}" {where} check_it="true" assign_to="1"/></action>
  </recv>
  <Reference variables="1"/>
  {OK}"""


def subscribe(number: int, authentication: str, to_tag: str, expires: int, uri: str) -> str:
    return f"""<send><![CDATA[
SUBSCRIBE {uri} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]s
To: <sip:[service]@[remote_ip]>{to_tag}
Call-ID: [call_id]
CSeq: {number} SUBSCRIBE
{authentication}Contact: <sip:[service]@[local_ip]:[local_port]>
Event: message-summary
Accept: application/simple-message-summary
Expires: {expires}
Content-Length: 0

]]></send>"""


AUTHENTICATION = "[authentication username=USER password=PASSWORD]\n"

LAMP = f"""<?xml version="1.0"?>
<scenario name="lamp">
  {subscribe(1, "", "", 600, "sip:[service]@[remote_ip]")}
  <recv response="401" auth="true"/>
  {subscribe(2, AUTHENTICATION, "", 600, "sip:[service]@[remote_ip]")}
  <recv response="200"/>
  {notified("Messages-Waiting: no")}
  {notified("Voice-Message: 1/0")}
  {notified("Voice-Message: 0/0")}
</scenario>
"""

TRANSFER = CALL.replace(
    '<pause milliseconds="LENGTH"/>',
    f"""<pause milliseconds="500"/>
  <send retrans="500"><![CDATA[
REFER [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:[service]@[remote_ip]>;tag=[call_number]i
[last_To:]
Call-ID: [call_id]
CSeq: 3 REFER
Contact: <sip:[service]@[local_ip]:[local_port]>
Refer-To: <sip:TRANSFER@[remote_ip]>
Content-Length: 0

]]></send>
  <recv response="202"/>
  {notified("SIP/2.0 100")}
  {notified("SIP/2.0 180")}
  {notified("SIP/2.0 200")}""",
)
TRANSFER = TRANSFER[: TRANSFER.rindex('<send retrans="500">')] + f'<recv request="BYE"/>\n  {OK}\n</scenario>\n'
"""It transfers whom it called, is told how that goes, and is released by the node."""


def sipp(site: LiveSite, folder: Path, number: str, last: int) -> Sipp:
    local = site.network.at(f"20.{last}")
    return Sipp(folder / number, local=local, pbx=site.pbx_address, number=number, password=f"icp-{number}-Secret")


async def ended(program: OutsideProgram) -> None:
    assert await asyncio.to_thread(program.wait) == 0, program.text


async def registered(phone: Sipp) -> None:
    with phone.register() as registering:
        await ended(registering)


async def test_a_call_is_forwarded_with_181_to_the_caller_and_diversion_to_the_target(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_office(loopback, tmp_path, NUMBERS) as site, phones(site, "1102") as (two,):
        code = two.call("*721103")
        await until(code.ended.is_set)
        target, caller = sipp(site, tmp_path, "1103", 203), sipp(site, tmp_path, "1101", 201)
        await registered(target)
        with target.play("diverted", DIVERTED) as answering:
            scenario = TOLD.replace("TARGET", "1102").replace("LENGTH", "500")
            with caller.play("told", scenario) as calling:
                await ended(calling)
            await ended(answering)
        await until(lambda: site.pbx.node.calls == set())


async def test_a_ringing_call_is_picked_up_and_ended(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with (
        live_office(loopback, tmp_path, NUMBERS) as site,
        phones(site, "1101", "1102", auto_answer=False) as (one, two),
    ):
        taker = sipp(site, tmp_path, "1103", 203)
        await registered(taker)
        call = one.call("1102")
        await until(lambda: len(two.calls) == 1)
        with taker.call("**1102", 500) as taking:
            await until(call.answered.is_set)
            assert await asyncio.to_thread(taking.wait) == 0, taking.text
        await until(call.ended.is_set)
        assert two.calls == []


async def test_a_message_lamp_is_subscribed_to_and_follows(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path, NUMBERS) as site, phones(site, "1102") as (two,):
        with sipp(site, tmp_path, "1101", 201).play("lamp", LAMP) as lamp:
            await until(lambda: len(site.pbx.node.subscriptions) == 1)
            code = two.call("*941101")
            await until(code.ended.is_set)
            state = site.pbx.node.states.of("1101")
            assert state.new_messages == 1
            site.pbx.node.states.put("1101", type(state)())
            await ended(lamp)


async def test_a_strangers_refer_is_carried_out_and_reported(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path, NUMBERS) as site, phones(site, "1102", "1103") as (two, three):
        scenario = TRANSFER.replace("TARGET", "1102").replace("TRANSFER", "1103")
        with sipp(site, tmp_path, "1101", 201).play("transfer", scenario) as transferring:
            await ended(transferring)
        await until(lambda: len(two.calls) == 1 and len(three.calls) == 1)
        assert three.calls[0].peer == "1102"
        await until(lambda: len(two.calls[0].heard) > 0 and len(three.calls[0].heard) > 0)
