"""Prometheus metrics at /metrics of the web face: numbers about the gateway as a whole, none per device.

Read from signalling's memory when somebody asks; nothing is counted a second time here.
"""

import hmac
import ipaddress
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from opx.gateway.control.protocol import Control, ControlError, Counter
from opx.gateway.faults.settings import Metrics, read_secret

PATH = "/metrics"
PREFIX = "opx_gateway_"

HELP = {
    "up": "Whether signalling answers; everything else is missing while it does not.",
    "registered_devices": "Devices in service.",
    "devices": "Devices that are configured.",
    "calls": "Calls under way.",
    "calls_ended": "Calls that are over, by direction (as the phone sees it) and outcome.",
    "calls_talked_seconds": "Time that calls lasted from their answer on.",
    "licences": "Teleworker licences; missing where they are not limited.",
    "licences_used": "Teleworker licences in use.",
    "icp_up": "Whether a node of the ICP may serve.",
    "icp_nodes_up": "Nodes of the ICP that may serve.",
    "icp_registered_devices": "Devices that are registered at the ICP.",
    "media_packets": "RTP packets of calls that are over, by the side that they came from.",
    "media_packets_lost": "RTP packets missing on their way to the relay, by the side that they came from.",
    "event_loop_lag_seconds": "How late signalling came to what was due, at worst in the last half minute.",
    "database_unwritten_rows": "What waits to be written to the database.",
    "database_dropped_rows": "What could not be written to the database and was given up.",
    "alarm": "Alarms that stand, by kind.",
    "alarms_standing": "Alarms that stand.",
    "deliveries": "Records and alarms delivered, by way.",
    "deliveries_waiting": "Records and alarms that wait for their delivery, by way.",
    "deliveries_dropped": "Records and alarms that were given up, by way.",
    "call_traces_passed_over": "Calls that went well whose messages were not stored, for there were too many.",
    "timeline_entries": "Entries of timelines, by kind; refusals among them.",
    "sip_transactions": "SIP transactions in memory, by side.",
    "sip_dialogs": "SIP dialogs, by side.",
    "sip_connections": "TCP connections, by side.",
    "sip_datagrams_dropped": "SIP datagrams that could not be sent, by side.",
}
"""What a metric means; one that is not here explains itself by its name."""

log = logging.getLogger(__name__)


class MetricsApp:
    """An ASGI application. `own` are this machine's addresses, which may always read."""

    def __init__(self, control: Control, settings: Metrics, own: Iterable[str]) -> None:
        self._control = control
        self._networks = [ipaddress.ip_network(network) for network in settings.networks]
        self._own = {*own}
        self._token_file = settings.token_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        await (await self._answer(request))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.url.path != PATH:
            return PlainTextResponse("not found\n", 404)
        if not self._may_read(request):
            text = "metrics are for this machine, the networks of [metrics] and holders of its token\n"
            return PlainTextResponse(text, 401, {"WWW-Authenticate": "Bearer"})
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("only GET\n", 405, {"Allow": "GET, HEAD"})
        try:
            found = list((await self._control.counters()).items)
            up = 1
        except ControlError as error:
            log.warning("metrics: signalling does not answer: %s", error)
            found, up = [], 0
        numbers = exposition([Counter(name="up", value=up), *found])
        return Response(numbers, media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})

    def _may_read(self, request: Request) -> bool:
        host = request.client.host if request.client else ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if host in self._own or host == "127.0.0.1" or any(address in network for network in self._networks):
            return True
        scheme, _, offered = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._token_file is not None and _is_token(offered, self._token_file)


def _is_token(offered: str, file: Path) -> bool:
    """Read each time, so that a new token holds at once."""
    try:
        token = read_secret(file, "token")
    except (OSError, ValueError) as error:
        log.error("metrics: the token cannot be read: %s", error)
        return False
    return hmac.compare_digest(offered.encode("utf-8", "replace"), token.encode())


class _Found:
    """A collector of numbers that are at hand."""

    def __init__(self, counters: Iterable[Counter]) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        by_name: dict[str, list[Counter]] = defaultdict(list)
        for counter in self._counters:
            by_name[counter.name].append(counter)
        for name, found in by_name.items():
            kind = CounterMetricFamily if found[0].kind == "counter" else GaugeMetricFamily
            labels = list(found[0].labels)
            family = kind(PREFIX + name, HELP.get(name, name.replace("_", " ")), labels=labels)
            for counter in found:
                family.add_metric([counter.labels[label] for label in labels], counter.value)
            yield family


def exposition(counters: Iterable[Counter]) -> bytes:
    """The text that Prometheus reads, with this process's own figures."""
    registry = CollectorRegistry()
    registry.register(_Found(counters))
    ProcessCollector(namespace="opx_web", registry=registry)
    return generate_latest(registry)
