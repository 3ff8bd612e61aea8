"""The management API's part for features: forwarding, do not disturb, messages, pickup groups, hot desking."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import FastAPI, HTTPException, Path
from pydantic import BaseModel, Field

from opx.pbx.features.switches import MAX_MESSAGES, forward_problem
from opx.pbx.node import PbxNode
from opx.pbx.pins import hash_pin
from opx.pbx.repository import ExtensionRecord

Number = Annotated[str, Path(pattern=r"^[0-9*#]{1,16}$")]
Target = Annotated[str, Field(pattern=r"^[0-9*#]{0,16}$")]
Count = Annotated[int, Field(ge=0, le=MAX_MESSAGES)]


class Messages(BaseModel):
    """What the message lamp says."""

    new: Count = 0
    old: Count = 0


class FeaturesView(BaseModel):
    """An extension's features; an empty number means off. The PIN itself is never shown."""

    dnd: bool
    forward_all: str
    forward_busy: str
    forward_no_answer: str
    pickup_group: str
    messages: Messages
    has_pin: bool
    phone: str
    """Where a hot desk extension is logged in, "" when it is nowhere."""


class FeaturesWish(BaseModel):
    """What is left out stays as it is."""

    model_config = {"extra": "forbid"}

    dnd: bool | None = None
    forward_all: Target | None = None
    forward_busy: Target | None = None
    forward_no_answer: Target | None = None
    pickup_group: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{0,16}$")] | None = None


class PinWish(BaseModel):
    pin: str = Field(pattern=r"^[0-9]{4,16}$", repr=False)


class PinTry(BaseModel):
    pin: str = Field(pattern=r"^[0-9]{4,16}$", repr=False)
    phone: str = Field(default="", pattern=r"^[A-Za-z0-9:.\- ]{0,64}$")
    """Where it was typed, for the log."""


class PinVerdict(BaseModel):
    matches: bool
    """False also while the extension is locked after too many tries."""


class LogIn(BaseModel):
    phone: str = Field(pattern=r"^[0-9*#]{1,16}$")
    """The extension that the phone registers as."""


def add_features(app: FastAPI, node: PbxNode, known: Callable[[str], ExtensionRecord]) -> None:
    """Add the paths. `known` gives an extension or answers 404."""
    states = node.states

    def view(number: str) -> FeaturesView:
        state = states.of(number)
        return FeaturesView(
            dnd=state.dnd,
            forward_all=state.forward_all,
            forward_busy=state.forward_busy,
            forward_no_answer=state.forward_no_answer,
            pickup_group=state.pickup_group,
            messages=Messages(new=state.new_messages, old=state.old_messages),
            has_pin=bool(state.pin),
            phone=state.phone,
        )

    @app.get("/api/v1/extensions/{number}/features")
    async def read_features(number: Number) -> FeaturesView:
        known(number)
        return view(number)

    @app.patch("/api/v1/extensions/{number}/features")
    async def change_features(number: Number, wish: FeaturesWish) -> FeaturesView:
        known(number)
        wanted = wish.model_dump(exclude_none=True)
        for name, target in wanted.items():
            if name.startswith("forward_") and target:
                problem = forward_problem(number, target, node.extensions.__contains__)
                if problem:
                    raise HTTPException(422, f"{name}: {problem}")
        states.put(number, replace(states.of(number), **wanted))
        return view(number)

    @app.put("/api/v1/extensions/{number}/messages")
    async def set_messages(number: Number, messages: Messages) -> FeaturesView:
        known(number)
        states.put(number, replace(states.of(number), new_messages=messages.new, old_messages=messages.old))
        return view(number)

    @app.put("/api/v1/extensions/{number}/pin")
    async def set_pin(number: Number, wish: PinWish) -> FeaturesView:
        known(number)
        pin = await asyncio.to_thread(hash_pin, wish.pin)
        known(number)
        states.put(number, replace(states.of(number), pin=pin))
        return view(number)

    @app.delete("/api/v1/extensions/{number}/pin")
    async def remove_pin(number: Number) -> FeaturesView:
        known(number)
        states.put(number, replace(states.of(number), pin=""))
        return view(number)

    @app.post("/api/v1/extensions/{number}/pin")
    async def try_pin(number: Number, attempt: PinTry) -> PinVerdict:
        known(number)
        verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(matches: bool) -> None:
            if not verdict.done():
                verdict.set_result(matches)

        node.hot_desk.verify(number, attempt.phone or "a phone of the suite", attempt.pin, done)
        return PinVerdict(matches=await verdict)

    @app.put("/api/v1/extensions/{number}/hot-desk")
    async def log_in(number: Number, wish: LogIn) -> FeaturesView:
        known(number)
        problem = node.hot_desk.problem(number, wish.phone)
        if problem:
            raise HTTPException(422, problem)
        node.hot_desk.place(number, wish.phone)
        return view(number)

    @app.delete("/api/v1/extensions/{number}/hot-desk")
    async def log_out(number: Number) -> FeaturesView:
        known(number)
        node.hot_desk.place(number, "")
        return view(number)
