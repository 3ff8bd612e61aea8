"""A call on real sockets from its first message to what an engineer finds of it afterwards, without any secret."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from opx.gateway.control.client import ControlClient
from opx.gateway.control.protocol import NotFound
from opx.gateway.faults.ladder import ladder
from opx.gateway.faults.messages import from_wire
from opx.gateway.faults.records import CallRecord
from opx.gateway.faults.repository import CallQuery, FaultsRepository
from opx.logging import set_up
from opx.sip.parser import parse
from opx.store.engine import open_engine
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.phones import HEARD, until
from support.remote import remote_call, remote_phone

WRONG = "a-wrong-Password-9"


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """The log at its most talkative, as fields."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    set_up("debug", as_json=True, stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


async def one_call(site: LiveSite) -> None:
    async with remote_call(site) as talk:
        await until(lambda: len(talk.call.heard) > HEARD and len(talk.office_call.heard) > HEARD)
        await talk.hang_up()


async def recorded(site: LiveSite) -> CallRecord:
    await until(lambda: not site.gateway.faults.recorder._ending)
    await site.gateway.writer.flush()
    (record,), total = await site.gateway.faults.repository.calls(CallQuery())
    assert total == 1
    return record


async def test_a_call_leaves_a_record_with_its_media_and_its_messages(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path, remote=(1,)) as site:
        await one_call(site)
        record = await recorded(site)
        assert (record.device, record.icp, record.direction) == ("tw1", "Node 1", "outgoing")
        assert (record.caller, record.callee) == ("1001", "1101")
        assert (record.outcome, record.ended_by, record.status) == ("answered", "phone", 0)
        assert record.started_at <= record.rang_at <= record.answered_at < record.ended_at
        assert record.talked > 0.4
        assert record.phone == f"UDP {loopback.at('30.1')}:5060"
        assert record.node.startswith(f"UDP {site.pbx_address}:")
        assert record.user_agent == "OPX phone"
        assert record.media is not None
        phone, office = record.media.set_side, record.media.icp_side
        assert min(phone.packets, office.packets) >= 20
        assert phone.local.startswith(f"{site.outside}:") and phone.remote.startswith(f"{loopback.at('30.1')}:")
        assert office.local.startswith(f"{site.inside}:")
        assert (phone.lost, office.lost) == (0, 0)

        control = ControlClient(site.gateway.settings.control_socket)
        trace = from_wire(await control.ladder(record.call_id))
        await control.close()
        shown = ladder(trace.messages)
        assert [party.label for party in shown.parties] == ["Phone", "Gateway", "ICP"]
        titles = [step.title for step in shown.steps if not step.repeated]
        for title in ("INVITE (SDP)", "180 Ringing", "200 OK (SDP)", "ACK", "BYE"):
            assert titles.count(title) >= 2, titles
        site.gateway.faults.recorder.flush()
        await site.gateway.writer.flush()
        kept = await site.gateway.faults.repository.ladder(record.call_id)
    assert kept is not None
    assert {message.data for message in trace.messages} <= {message.data for message in kept.messages}
    assert all(parse(message.data) for message in kept.messages)


async def test_what_was_recorded_is_there_after_a_restart_and_for_other_processes(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path, remote=(1,)) as site:
        await one_call(site)
        url = site.gateway.settings.database_place
    engine = open_engine(url)
    (record,), _ = await FaultsRepository(engine).calls(CallQuery())
    kept = await FaultsRepository(engine).ladder(record.call_id)
    await engine.dispose()
    assert record.media is not None
    assert kept is not None and len(kept.messages) >= 10


async def test_a_refused_call_is_recorded_once_with_its_reason_and_its_message(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    extra = "[limits]\ncalls_per_device = 1\n"
    async with live_site(loopback, tmp_path, remote=(1,), extra_gateway=extra) as site, remote_phone(site) as phone:
        first = phone.call("*9")
        await until(first.answered.is_set)
        for _ in range(3):
            second = phone.call("1002")
            await until(second.ended.is_set)
        await site.gateway.writer.flush()
        records, _ = await site.gateway.faults.repository.calls(CallQuery(outcome="refused"))
        assert [(record.callee, record.status, record.reason) for record in records] == [
            ("1002", 503, "too many calls")
        ]
        assert records[0].ended_by == "gateway"
        control = ControlClient(site.gateway.settings.control_socket)
        titles = [step.title for step in ladder(from_wire(await control.ladder(records[0].call_id)).messages).steps]
        assert "503 Service Unavailable" in titles
        with pytest.raises(NotFound):
            await control.ladder("nothing")
        await control.close()
        phone.hang_up(first)
        await until(first.ended.is_set)


async def test_no_secret_reaches_a_log_a_record_or_a_message_that_is_kept(
    loopback: LoopbackNetwork, tmp_path: Path, everything_logged: io.StringIO
) -> None:
    async with live_site(loopback, tmp_path, remote=(1,)) as site:
        async with remote_phone(site, 1, WRONG):
            pass
        await one_call(site)
        record = await recorded(site)
        site.gateway.faults.recorder.flush()
        await site.gateway.writer.flush()
        kept = await site.gateway.faults.repository.ladder(record.call_id)
        raw = [
            message.data for leg in site.gateway.faults.recorder.recent[record.call_id].legs for message in leg.messages
        ]
        device = site.gateway.signalling.directory.device(1)
    assert device is not None and kept is not None
    sent = b"\n".join(raw).decode()
    responses = [part.partition('"')[0] for part in sent.split('response="')[1:]]
    assert len(responses) >= 2
    secrets = ["set-1-Secret", "icp-1001-Secret", WRONG, *device.set_ha1.values(), *responses]
    shown = json.dumps(record.values()) + "".join(message.text for message in kept.messages)
    log = everything_logged.getvalue()
    assert "wrong password" in log
    assert "registered from" in log
    assert [secret for secret in secrets if secret in log or secret in shown] == []
    assert 'username="tw1"' in shown


async def test_log_lines_about_calls_carry_their_ids_as_fields(
    loopback: LoopbackNetwork, tmp_path: Path, everything_logged: io.StringIO
) -> None:
    async with live_site(loopback, tmp_path, remote=(1,)) as site:
        await one_call(site)
        record = await recorded(site)
    lines = [json.loads(line) for line in everything_logged.getvalue().splitlines()]
    about = [line for line in lines if line.get("call") == record.call_id]
    assert {line["device"] for line in lines if line.get("kind") == "registration"} == {"tw1"}
    assert [line["event"] for line in about] == [
        "call began, to 1101",
        f"call ended, answered: {record.reason}",
    ]
    assert {line["device"] for line in about} == {"tw1"}


async def test_the_record_of_a_call_under_way_is_not_lost_when_the_gateway_stops(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    site = LiveSite(loopback, tmp_path, remote=(1,))
    await site.start()
    try:
        async with remote_call(site):
            await site.gateway.stop()
            await asyncio.sleep(0)
    finally:
        await site.pbx.stop()
    engine = open_engine(site.gateway.settings.database_place)
    (record,), _ = await FaultsRepository(engine).calls(CallQuery())
    await engine.dispose()
    assert (record.outcome, record.ended_by, record.reason) == ("answered", "gateway", "the gateway is stopped")
