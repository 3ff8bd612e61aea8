"""The guide's six stages as a checklist: what is done, what is missing and where to do it, what cannot be checked."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.sites.conditions import STAGES, Condition, Facts, Status, conditions
from opx.web.concerns import Concern
from opx.web.pages import MenuEntry, Room

STATES = {
    Status.DONE: ("good", "done"),
    Status.MISSING: ("warn", "to be done"),
    Status.WRONG: ("bad", "wrong"),
    Status.UNKNOWN: ("", "cannot be checked here"),
    Status.NOTE: ("", "to know"),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One of the guide's with its conditions."""

    number: int
    title: str
    items: Sequence[Condition]

    @property
    def status(self) -> Status:
        """The worst of its conditions that hinders; unknown when none of them can be checked."""
        found = {item.status for item in self.items}
        order = (Status.WRONG, Status.MISSING, Status.DONE)
        return next((status for status in order if status in found), Status.UNKNOWN)


def stages_of(facts: Facts) -> list[Stage]:
    found = conditions(facts)
    return [Stage(number, title, [item for item in found if item.stage == number]) for number, title in STAGES.items()]


def concerns_of(stages: Sequence[Stage]) -> list[Concern]:
    """What is wrong, each for itself, and the first stage where something is missing."""
    concerns = [
        Concern("bad", f"Stage {stage.number}, {item.what}: {item.text}.", item.path or "/stages")
        for stage in stages
        for item in stage.items
        if item.status is Status.WRONG
    ]
    missing = next((stage for stage in stages if Status.MISSING in {item.status for item in stage.items}), None)
    if missing is not None:
        first = next(item for item in missing.items if item.status is Status.MISSING)
        said = f"Stage {missing.number}, {missing.title.lower()}, is not complete: {first.what}: {first.text}."
        concerns.append(Concern("warn", said, "/stages"))
    return concerns


def stages_room(desk: Desk) -> Room:
    router = APIRouter()

    @router.get("/stages")
    async def stages_page(request: Request) -> Response:
        facts = await desk.lookout.facts(await desk.watch.view())
        return desk.console.shell.page(request, "stages.html", stages=stages_of(facts), states=STATES)

    @router.post("/stages/check")
    async def check(request: Request) -> Response:
        desk.watch.forget()
        return desk.console.shell.go("/stages")

    return Room(router, (MenuEntry(("Stages",), "/stages", 1),), open_paths=frozenset({"/stages/check"}))
