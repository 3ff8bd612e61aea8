"""What Prometheus reads, and who may read it."""

from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from opx.gateway.control.protocol import Counter, Counters, NobodyThere
from opx.gateway.faults.metrics import MetricsApp, exposition
from opx.gateway.faults.settings import Metrics
from support.live import live_site
from support.network import LoopbackNetwork
from support.remote import remote_call

OWN = "192.168.20.1"
NUMBERS = (
    Counter(name="calls", value=3),
    Counter(name="calls_ended", value=7, kind="counter", labels={"direction": "outgoing", "outcome": "answered"}),
    Counter(name="calls_ended", value=1, kind="counter", labels={"direction": "incoming", "outcome": "refused"}),
    Counter(name="icp_up", value=1, labels={"icp": 'N"\\\n1'}),
)


class Gateway:
    """A control socket's other end that knows its numbers, or is away."""

    away = False

    async def counters(self) -> Counters:
        if self.away:
            raise NobodyThere("no gateway listens")
        return Counters(items=NUMBERS)


async def ask(
    settings: Metrics,
    source: str,
    gateway: Gateway | None = None,
    path: str = "/metrics",
    method: str = "GET",
    token: str = "",
) -> httpx.Response:
    app = MetricsApp(gateway or Gateway(), settings, [OWN])  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app, client=(source, 5000))
    headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
    async with httpx.AsyncClient(transport=transport, base_url="https://gw") as client:
        return await client.request(method, path, headers=headers)


def samples(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_are_what_prometheus_reads_under_good_names() -> None:
    found = samples(exposition(NUMBERS).decode())
    assert found["opx_gateway_calls"] == 3
    assert found["opx_gateway_calls_ended_total[('direction', 'outgoing'), ('outcome', 'answered')]"] == 7
    assert found["opx_gateway_icp_up[('icp', 'N\"\\\\\\n1')]"] == 1
    assert "opx_web_process_resident_memory_bytes" in found


@pytest.mark.parametrize(
    ("settings", "source", "token", "status"),
    [
        (Metrics(), OWN, "", 200),
        (Metrics(), "127.0.0.1", "", 200),
        (Metrics(), "192.168.20.50", "", 401),
        (Metrics(), "192.168.20.50", "anything", 401),
        (Metrics(networks=("192.168.20.0/24",)), "192.168.20.50", "", 200),
        (Metrics(networks=("192.168.20.0/24",)), "192.168.21.50", "", 401),
        (Metrics(), "not an address", "", 401),
    ],
)
async def test_only_this_machine_and_the_networks_that_are_named_may_read(
    settings: Metrics, source: str, token: str, status: int
) -> None:
    answer = await ask(settings, source, token=token)
    assert answer.status_code == status
    assert ("opx_gateway_up 1.0" in answer.text) == (status == 200)


async def test_a_token_opens_it_and_a_new_one_holds_at_once(tmp_path: Path) -> None:
    settings = Metrics(token_file=tmp_path / "token")
    stranger = "192.168.20.50"
    assert (await ask(settings, stranger, token="one")).status_code == 401
    (tmp_path / "token").write_text("one\n")
    assert (await ask(settings, stranger, token="one")).status_code == 200
    for wrong in ("", "on", "one  x", "onee", "Bearer one", "ö"):
        assert (await ask(settings, stranger, token=wrong)).status_code == 401, wrong
    (tmp_path / "token").write_text("two\n")
    assert (await ask(settings, stranger, token="one")).status_code == 401


async def test_without_signalling_it_says_that_it_is_down() -> None:
    gateway = Gateway()
    gateway.away = True
    answer = await ask(Metrics(), OWN, gateway)
    assert samples(answer.text)["opx_gateway_up"] == 0
    assert "opx_gateway_calls" not in samples(answer.text)


async def test_nothing_else_is_served_there() -> None:
    assert (await ask(Metrics(), OWN, path="/metrics/x")).status_code == 404
    assert (await ask(Metrics(), OWN, path="/metricsx")).status_code == 404
    assert (await ask(Metrics(), OWN, method="POST")).status_code == 405


async def test_a_running_gateways_numbers_have_no_label_for_a_device(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path, remote=(1, 2)) as site:
        async with remote_call(site) as talk:
            await talk.hang_up()
        site.gateway.faults.recorder.flush()
        found = samples(exposition(site.gateway._counters()).decode())
    assert found["opx_gateway_calls_ended_total[('direction', 'outgoing'), ('outcome', 'answered')]"] == 1
    assert found["opx_gateway_alarm[('kind', 'icp-unreachable')]"] == 0
    assert found["opx_gateway_icp_up[('icp', 'Node 1')]"] == 1
    assert not [name for name in found if "tw1" in name or "1001" in name]
    labels = {"direction", "outcome", "kind", "icp", "side", "way"}
    assert {part for name in found for part in name.split("'")[1::4]} <= labels
