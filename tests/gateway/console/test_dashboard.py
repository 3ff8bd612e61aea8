"""The first page: figures, what needs attention, traffic over time."""

import time
from pathlib import Path

import pytest

from opx.gateway.certificates import server_certificate
from opx.gateway.console.traffic import KEEP, PERIOD, Traffic
from opx.gateway.control.forwards import ForwardLive, ForwardsLive
from opx.gateway.control.protocol import IcpHealth, NodeHealth, Status
from opx.gateway.forwarding.rules import ForwardSpec, Ports, Protocol, parse_address
from opx.gateway.repository import DeviceSpec, TimelineRow
from support.console import SETTINGS, StandIn, open_console, signed_in


def status(**changes: object) -> Status:
    up = NodeHealth(address="192.168.20.20:5060", state="up")
    icp = IcpHealth(id=1, name="Node 1", available=True, registrations=7, nodes=(up,))
    values = {
        "started_at": time.time() - 90000,
        "now": time.time(),
        "registered": 7,
        "calls": 3,
        "licences_used": 7,
        "licences": 50,
        "icps": (icp,),
    }
    return Status.model_validate({**values, **changes})


async def test_figures_of_a_gateway_that_is_well(tmp_path: Path) -> None:
    forwards = ForwardsLive(driver="userspace", remark="", problem="", rules=())
    async with open_console(tmp_path, control=StandIn(status=status(), forwards=forwards)) as web:
        server_certificate(web.settings).open()
        await web.repository.put_icp("Node 1", "", "192.168.20.20", 5060, "UDP")
        await web.repository.put_device(DeviceSpec("tw1", "Set-Side-7secret", "Node 1"))
        visitor = await signed_in(web)
        await visitor.get("/")
        assert "7 of 1 devices in service 3 of 1000 calls now" in visitor.text
        assert "7 of 50 licences in use 0 of 0 forwards in force" in visitor.text
        assert "Node 1 in service 1 of 1 7" in visitor.text
        assert "Running for 1 d 1 h." in visitor.text
        assert "Needs attention" not in visitor.text


async def test_what_needs_attention_is_named_with_a_way_to_it(tmp_path: Path) -> None:
    down = NodeHealth(address="192.168.20.21:5060", state="down")
    icps = (
        IcpHealth(id=1, name="Node 1", available=False, registrations=0, nodes=(down,)),
        IcpHealth(id=2, name="Node 2", available=True, registrations=0, nodes=(down,)),
    )
    rule = ForwardLive(id=1, version=1, state="not in force", why="8202 is taken")
    control = StandIn(
        status=status(icps=icps, licences_used=50),
        forwards=ForwardsLive(driver="userspace", remark="", problem="", rules=(rule,)),
    )
    async with open_console(tmp_path, control=control) as web:
        await web.forwards.add(ForwardSpec(Protocol.TCP, Ports.of(8202), parse_address("192.168.20.10")))
        visitor = await signed_in(web)
        await visitor.get("/")
        for text, path in (
            ("ICP Node 1 does not answer", "/icps/1"),
            ("Node 192.168.20.21:5060 of ICP Node 2 is down.", "/icps/2"),
            ("All teleworker licences are in use.", "/settings"),
            ("Port forwarding rule 1 is not in force: 8202 is taken", "/port-forwarding"),
        ):
            assert text in visitor.text
            assert f'<a href="{path}">Look' in visitor.html


async def test_certificates_near_their_end_are_named(tmp_path: Path) -> None:
    settings = SETTINGS + "[certificates]\nwarn_days = 36500\n"
    async with open_console(tmp_path, settings, control=StandIn(status=status())) as web:
        visitor = await signed_in(web)
        await visitor.get("/")
        assert "The console's certificate:" in visitor.text
        server_certificate(web.settings).open()
        await visitor.get("/")
        assert "expires in 396 days." in visitor.text, visitor.text


async def test_without_a_running_gateway_the_page_says_so(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/")
        assert "The gateway does not answer: no phone is served." in visitor.text


@pytest.mark.usefixtures("each_database")
async def test_latest_refusals_with_their_reasons(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        evil = "REGISTER from <script>x</script>: unknown user name"
        await web.repository.write(timeline=[TimelineRow(None, time.time(), "refusal", evil)])
        visitor = await signed_in(web)
        await visitor.get("/")
        assert "unknown REGISTER from <script>x</script>: unknown user name" in visitor.text
        assert "<script>x" not in visitor.html


@pytest.mark.usefixtures("each_database")
async def test_traffic_is_counted_by_its_peaks_and_old_counts_go(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        now = 1_000_000 * PERIOD
        control = StandIn(status=status(calls=3, registered=7))
        traffic = Traffic(web.engine, control, lambda: now)
        await traffic.look()
        control.answers["status"] = status(calls=1, registered=9)
        await traffic.look()
        first = now
        assert await traffic.samples(0) == [(first, 3, 9)]
        now += PERIOD
        await traffic.look()
        assert await traffic.samples(0) == [(first, 3, 9), (now, 1, 9)]
        # While the gateway does not answer there is no sample, which is not the same as none of anything.
        del control.answers["status"]
        now += PERIOD
        await traffic.look()
        assert len(await traffic.samples(0)) == 2
        now += KEEP
        control.answers["status"] = status(calls=1, registered=9)
        await traffic.look()
        now += PERIOD
        await traffic.look()
        assert [at for at, _, _ in await traffic.samples(0)] == [now - PERIOD, now]


async def test_the_picture_has_a_text_beside_it(tmp_path: Path) -> None:
    async with open_console(tmp_path, control=StandIn(status=status(calls=3))) as web:
        await web.traffic.look()
        visitor = await signed_in(web)
        await visitor.get("/")
        assert '<svg class="chart"' in visitor.html and 'role="img"' in visitor.html
        assert "the highest is 3." in visitor.text
        assert "Calls at the same time, the highest of each hour Hour Highest" in visitor.text
