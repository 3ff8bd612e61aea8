"""The first page: how the site is, at a glance, and what needs somebody's attention."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from opx.alarms import Alarm
from opx.suite.alarms import KINDS, AlarmRepository
from opx.suite.certificates import certificates_in_use
from opx.suite.console.border_gateway import token_state
from opx.suite.console.desk import Desk
from opx.suite.console.stages import STATES, concerns_of, stages_of
from opx.suite.handsets.records import pretty_mac
from opx.suite.provisioning.concerns import concerns
from opx.suite.provisioning.records import ProvisionState
from opx.suite.sites.conditions import Facts
from opx.suite.sites.repository import ExtensionQuery
from opx.suite.timeline import Entry, Kind, extension_subject
from opx.web.authority import CertificateError
from opx.web.certificates import CertificateInfo
from opx.web.concerns import Concern
from opx.web.pages import MenuEntry, Room

EVENTS = 8
"""Refusals and warnings that the page shows,"""
ALARMS = 3
"""Alarms that stand which the page names."""
LOOKED_THROUGH = 200
"""out of so many of the newest entries."""


@dataclass(frozen=True, slots=True)
class Event:
    """A timeline's entry with what it is about, and the page of that."""

    entry: Entry
    about: str
    path: str


def dashboard_room(desk: Desk) -> Room:
    router = APIRouter()
    alarms = AlarmRepository(desk.sites.engine)

    @router.get("/")
    async def dashboard(request: Request) -> Response:
        now = time.time()
        facts = await desk.lookout.facts(await desk.watch.view())
        run = await desk.provisioning.run()
        certificates, problem = await asyncio.to_thread(_certificates, desk)
        states = await desk.provisioning.counts()
        stages = stages_of(facts)
        found = [
            *concerns_of(stages),
            *concerns(run, states, facts.gateway.rest_api),
            *_of_phones(facts),
            *_of_alarms(*await alarms.alarms(standing=True, limit=ALARMS)),
            *_of_certificates(certificates, problem, desk.settings.certificates.warn_days, now),
        ]
        return desk.console.shell.page(
            request,
            "dashboard.html",
            facts=facts,
            concerns=found,
            stages=stages,
            stage_states=STATES,
            run=run,
            states=states,
            provision_states=[state for state in ProvisionState if states.get(state)],
            token=token_state(facts.gateway, now),
            certificate=certificates[0] if certificates else None,
            events=await events(),
        )

    async def events() -> list[Event]:
        newest = await desk.timeline.newest(LOOKED_THROUGH)
        return await named([entry for entry in newest if entry.kind is not Kind.DONE][:EVENTS])

    async def named(entries: Sequence[Entry]) -> list[Event]:
        prefix = extension_subject(0)[:-1]
        ids = {int(entry.subject.removeprefix(prefix)) for entry in entries if entry.subject.startswith(prefix)}
        extensions, _ = await desk.sites.extensions(ExtensionQuery(ids=list(ids))) if ids else ([], 0)
        known = {extension_subject(one.id): one for one in extensions}
        found = []
        for entry in entries:
            what, _, key = entry.subject.partition(":")
            about, path = "MiVoice Border Gateway", "/border-gateway"
            if what == "extension":
                one = known.get(entry.subject)
                about = f"Extension {one.number}" if one else "An extension that is gone"
                path = f"/pbxs/{one.pbx_id}/extensions/{one.id}" if one else ""
            elif what == "phone":
                about, path = f"Phone {pretty_mac(key)}", f"/phones/{key}"
            found.append(Event(entry, about, path))
        return found

    return Room(router, (MenuEntry(("Dashboard",), "/", 0),))


def _certificates(desk: Desk) -> tuple[list[CertificateInfo], str]:
    try:
        return certificates_in_use(desk.settings), ""
    except CertificateError as error:
        return [], str(error)


def _of_phones(facts: Facts) -> list[Concern]:
    waiting = facts.phones.waiting
    if not waiting:
        return []
    said = "1 phone waits" if waiting == 1 else f"{waiting} phones wait"
    return [Concern("warn", f"{said} for approval.", "/phones?state=waiting")]


def _of_alarms(standing: Sequence[Alarm], total: int) -> list[Concern]:
    found = [Concern("warn", f"{alarm.title(KINDS)}: {alarm.cause}.", "/alarms") for alarm in standing]
    if total > len(standing):
        found.append(Concern("warn", f"{total - len(standing)} further alarms stand.", "/alarms"))
    return found


def _of_certificates(certificates: list[CertificateInfo], problem: str, warn_days: int, now: float) -> list[Concern]:
    if problem:
        return [Concern("bad", f"The suite's certificate: {problem}", "/locations/local")]
    found = []
    for info in certificates:
        left = info.days_left(now)
        if left < 0:
            found.append(Concern("bad", f"The certificate {info.subject} has expired.", "/locations/local"))
        elif left < warn_days:
            text = f"The certificate {info.subject} expires in {int(left)} days."
            found.append(Concern("warn", text, "/locations/local"))
    return found
