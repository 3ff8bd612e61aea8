"""What the gateway tells of its registrations, calls and ICPs, and the orders that it takes."""

import asyncio
from pathlib import Path

import pytest

from opx.gateway.control.client import ControlClient
from opx.gateway.control.desk import ControlDesk
from opx.gateway.control.lag import MEMORY, LagMeter
from opx.gateway.control.live import LiveView
from opx.gateway.control.protocol import (
    AskCall,
    AskCalls,
    AskRegistrations,
    AskStatus,
    HangUp,
    NotAllowed,
    NotFound,
    Notified,
    Notify,
)
from opx.gateway.media.interface import MediaError, OnStats
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip.agent import new_tag
from opx.sip.message import Request
from opx.sip.transactions import ServerTransaction
from support.live import live_site
from support.network import LoopbackNetwork
from support.phones import until
from support.remote import remote_call
from support.site import Site
from support.talking import site_with, talking

WALL = 1_700_000_000.0


class NoRelay:
    """Media that nobody carries."""

    def stats(self, call_id: str, on_stats: OnStats) -> None:
        on_stats(None)


def view(site: Site) -> LiveView:
    return LiveView(site.signalling, lambda: site.wire.wheel.now, lambda: WALL + site.wire.wheel.now)


def desk(site: Site) -> ControlDesk:
    async def reload() -> None:
        raise MediaError("nothing is reloaded here")

    return ControlDesk(
        site.signalling,
        NoRelay(),  # type: ignore[arg-type]
        view(site),
        LagMeter(),
        reload=reload,
        unwritten=lambda: 7,
        counters=list,
    )


def test_a_registration_is_told_with_everything_that_a_page_shows() -> None:
    site, _ = site_with()
    site.wire.advance(30.0)
    (found,) = view(site).registrations(AskRegistrations()).items
    assert (found.device_id, found.host, found.port, found.transport) == (1, "203.0.113.7", 40001, "UDP")
    assert found.contact == "sip:tw1@192.168.1.1:5060"
    assert (found.reachable, found.at_icp, found.node) == (True, True, "10.9.8.20:5060")
    assert found.user_agent == "OPX"
    assert found.expires_at - found.registered_at == pytest.approx(300.0)
    assert found.registered_at <= found.last_seen <= WALL + site.wire.wheel.now


def test_registrations_come_in_pages_that_miss_nobody() -> None:
    site = Site(devices=7)
    for number in (5, 1, 7, 2, 3):
        site.phone(number, port=40000 + number).register()
    pages = []
    after: int | None = 0
    while after is not None:
        page = view(site).registrations(AskRegistrations(after=after, limit=2))
        pages.append([item.device_id for item in page.items])
        after = page.following
    assert pages == [[1, 2], [3, 5], [7]]
    named = view(site).registrations(AskRegistrations(device_ids=(7, 4, 2)))
    assert [item.device_id for item in named.items] == [7, 2]
    assert named.following is None


def test_a_call_is_told_from_its_first_message_to_its_last() -> None:
    site, phone = site_with()
    phone.call("1002")
    (call,) = view(site).calls(AskCalls()).items
    assert (call.state, call.direction, call.caller, call.callee) == ("ringing", "outgoing", "1001", "1002")
    assert (call.device, call.icp, call.answered_at) == ("tw1", "Node 1", 0.0)
    assert call.rang_at >= call.started_at > WALL
    site.wire.advance(2.0)
    site.icp.sessions[-1].accept(site.icp.sessions[-1].offers.remote)
    site.wire.deliver()
    (call,) = view(site).calls(AskCalls(device_ids=(1,))).items
    assert (call.state, call.codec, call.held) == ("answered", "PCMU/8000", False)
    assert call.answered_at >= call.rang_at + 2.0
    assert call.phone == "UDP 203.0.113.7:40001"
    assert view(site).calls(AskCalls(device_ids=(2,))).items == ()
    site.icp.sessions[-1].hang_up()
    site.wire.advance(0.1)
    assert view(site).calls(AskCalls()).items == ()


def test_calls_come_in_pages_that_go_on_behind_a_call_that_has_ended() -> None:
    site, phone = site_with()
    sessions = []
    for number in range(2, 6):
        sessions.append(talking(site, phone, f"100{number}")[0])
        site.wire.advance(0.1)
    first = view(site).calls(AskCalls(limit=2))
    assert [call.callee for call in first.items] == ["1002", "1003"]
    assert first.following is not None
    sessions[1].hang_up()
    site.wire.advance(0.1)
    second = view(site).calls(AskCalls(limit=2, after=first.following))
    assert [call.callee for call in second.items] == ["1004", "1005"]
    assert second.following is None
    with pytest.raises(NotFound):
        view(site).calls(AskCalls(after="nowhere"))


async def test_the_status_tells_licences_icps_and_nodes() -> None:
    site = Site(SignallingPolicy(licences=5))
    site.phone(1).register()
    status = await desk(site)._status(AskStatus())
    assert (status.registered, status.calls, status.licences_used, status.licences) == (1, 0, 1, 5)
    assert status.unwritten == 7
    (icp,) = status.icps
    assert (icp.name, icp.available, icp.registrations) == ("Node 1", True, 1)
    assert [(node.address, node.state) for node in icp.nodes] == [("10.9.8.20:5060", "up")]
    site.icp.die()
    site.wire.advance(60.0)
    (icp,) = (await desk(site)._status(AskStatus())).icps
    assert (icp.available, icp.nodes[0].state) == (False, "down")


async def test_a_call_is_hung_up_on_both_legs_and_says_why() -> None:
    site, phone = site_with()
    here, there = talking(site, phone)
    (call,) = view(site).calls(AskCalls()).items
    assert (await desk(site)._call(AskCall(call_id=call.call_id))).media is None
    await desk(site)._hang_up(HangUp(call_id=call.call_id, reason="admin hung up"))
    site.wire.advance(0.1)
    assert here.ended and there.ended
    assert any("(admin hung up)" in text for text in site.texts())
    with pytest.raises(NotFound):
        await desk(site)._hang_up(HangUp(call_id=call.call_id, reason="again"))


@pytest.mark.parametrize(("event", "header"), [("check-sync", "check-sync"), ("reboot", "check-sync;reboot=true")])
async def test_a_phone_is_notified_and_its_answer_told(event: str, header: str) -> None:
    site, phone = site_with()
    taken: list[Request] = []

    def take(transaction: ServerTransaction) -> None:
        taken.append(transaction.request)
        transaction.reply(202, to_tag=new_tag())

    phone.handlers["NOTIFY"] = take
    asked = asyncio.create_task(desk(site)._notify(Notify(device_id=1, event=event)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    site.wire.advance(0.1)
    assert await asked == Notified(status=202)
    assert [request.get("event") for request in taken] == [header]
    assert any(f"NOTIFY {event} of the gateway: the phone answered 202" in text for text in site.texts())


async def test_what_cannot_be_notified_is_said_so() -> None:
    site, _ = site_with()
    with pytest.raises(NotFound, match="no device 99"):
        await desk(site)._notify(Notify(device_id=99, event="reboot"))
    with pytest.raises(NotAllowed, match="has no body"):
        await desk(site)._notify(Notify(device_id=1, event="reboot", body="<x/>"))
    with pytest.raises(NotAllowed, match="at most 10000 bytes"):
        await desk(site)._notify(Notify(device_id=1, event="aastra-xml", body="x" * 10_001))
    assert await desk(site)._notify(Notify(device_id=2, event="check-sync")) == Notified(status=480)


def test_lag_is_remembered_for_half_a_minute_and_one_slow_step_is_no_overload() -> None:
    meter = LagMeter()
    meter.note(0.8)
    assert (meter.worst, meter.steady) == (0.8, 0.0)
    for _ in range(10):
        meter.note(0.3)
    assert meter.steady == 0.3
    for _ in range(MEMORY):
        meter.note(0.0)
    assert meter.worst == 0.0


async def test_a_running_gateway_is_asked_over_its_socket(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path, remote=(1,)) as site, remote_call(site) as talk:
        control = ControlClient(site.gateway.settings.control_socket)
        status = await control.status()
        assert (status.registered, status.calls, status.icps[0].available) == (1, 1, True)
        (registration,) = (await control.registrations()).items
        assert (registration.host, registration.at_icp) == (loopback.at("30.1"), True)
        (live,) = (await control.calls()).items
        details = await control.call(live.call_id)
        assert details.media is not None
        assert details.media.set_side.local.startswith(f"{site.outside}:")
        assert details.media.codec in ("PCMA/8000", "PCMU/8000")
        names = {counter.name: counter.value for counter in (await control.counters()).items}
        assert (names["calls"], names["registered_devices"], names["icp_up"]) == (1, 1, 1)
        await control.hang_up(live.call_id, "the administrator hung up")
        await until(lambda: talk.call.ended.is_set() and talk.office_call.ended.is_set())
        assert (await control.calls()).items == ()
        await control.close()
