"""The first page: how the gateway is, at a glance, and what needs somebody's attention."""

import asyncio
import time

from fastapi import APIRouter, Request, Response

from opx.gateway.certificates import certificates_in_use
from opx.gateway.console.desk import Desk
from opx.gateway.console.device_rows import DeviceRows
from opx.gateway.console.live import status_of
from opx.gateway.console.port_forwarding import forwards_of
from opx.gateway.console.web_services import token_state
from opx.gateway.control.forwards import ForwardsLive
from opx.gateway.control.protocol import Status
from opx.web.authority import CertificateError
from opx.web.certificates import CertificateInfo
from opx.web.chart import chart
from opx.web.concerns import Concern
from opx.web.pages import MenuEntry, Room

DAY = 86400.0
BARS = 96
"""A quarter of an hour each."""
REFUSALS = 6


def dashboard_room(desk: Desk) -> Room:
    router = APIRouter()
    rows = DeviceRows(desk.engine)

    @router.get("/")
    async def dashboard(request: Request) -> Response:
        now = time.time()
        status, live = await status_of(desk.control), await forwards_of(desk)
        devices, enabled, stored = await rows.count(now)
        forwards = [rule for rule in await desk.forwards.all() if rule.spec.enabled]
        certificates, problem = await asyncio.to_thread(_certificates, desk)
        samples = await desk.traffic.samples(now - DAY)
        concerns = [
            *_of_status(status),
            *_of_certificates(certificates, problem, desk.settings.certificates.warn_days, now),
            *await _of_tokens(desk),
            *_of_forwards(live),
        ]
        return desk.console.shell.page(
            request,
            "dashboard.html",
            gateway=status,
            devices=devices,
            enabled=enabled,
            in_service=status.registered if status else stored,
            forwards=len(forwards),
            in_force=sum(rule.state.startswith("in force") for rule in live.rules) if live else None,
            certificate=certificates[0] if certificates else None,
            concerns=concerns,
            limit=desk.settings.limits.calls,
            calls=chart("Calls at the same time", ((s[0], s[1]) for s in samples), end=now, span=DAY, bars=BARS),
            phones=chart("Devices in service", ((s[0], s[2]) for s in samples), end=now, span=DAY, bars=BARS),
            refusals=await rows.refusals(REFUSALS),
        )

    return Room(router, (MenuEntry(("Dashboard",), "/", 0),))


def _certificates(desk: Desk) -> tuple[list[CertificateInfo], str]:
    try:
        return certificates_in_use(desk.settings), ""
    except CertificateError as error:
        return [], str(error)


def _of_status(status: Status | None) -> list[Concern]:
    if status is None:
        return [Concern("bad", "The gateway does not answer: no phone is served.", "/")]
    found = [
        Concern("bad", f"ICP {icp.name} does not answer: none of its nodes is up.", f"/icps/{icp.id}")
        for icp in status.icps
        if not icp.available
    ]
    found += [
        Concern("warn", f"Node {node.address} of ICP {icp.name} is down.", f"/icps/{icp.id}")
        for icp in status.icps
        for node in icp.nodes
        if icp.available and node.state == "down"
    ]
    if status.licences is not None and status.licences_used >= status.licences:
        found.append(Concern("warn", "All teleworker licences are in use.", "/settings"))
    return found


def _of_certificates(certificates: list[CertificateInfo], problem: str, warn_days: int, now: float) -> list[Concern]:
    found = [Concern("bad", f"The console's certificate: {problem}", "/settings")] if problem else []
    for info in certificates:
        left = info.days_left(now)
        if left < 0:
            found.append(Concern("bad", f"The certificate {info.subject} has expired.", "/settings"))
        elif left < warn_days:
            found.append(Concern("warn", f"The certificate {info.subject} expires in {int(left)} days.", "/settings"))
    return found


async def _of_tokens(desk: Desk) -> list[Concern]:
    found = []
    for token in await desk.web_services.final_tokens():
        kind, _ = token_state(token)
        day = time.strftime("%Y-%m-%d", time.localtime(token.expires_at))
        if kind in ("warn", "bad"):
            what = f"has expired on {day}" if kind == "bad" else f"expires on {day}"
            found.append(Concern(kind, f"The final token of {token.consumer.name} {what}.", "/web-services"))
    return found


def _of_forwards(live: ForwardsLive | None) -> list[Concern]:
    if live is None:
        return []
    if live.problem:
        return [Concern("bad", f"Nothing is forwarded: {live.problem}", "/port-forwarding")]
    return [
        Concern("warn", f"Port forwarding rule {rule.id} is {rule.state}: {rule.why}", "/port-forwarding")
        for rule in live.rules
        if rule.state in ("not in force", "in force, but hindered")
    ]
