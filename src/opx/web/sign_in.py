"""The pages by which people sign in and out, choose a password, and change their own."""

import math

from fastapi import APIRouter, Request, Response

from opx.web.accounts import AccountError, User, check_name
from opx.web.console import Console
from opx.web.forms import Form
from opx.web.guard import Refused, safe_goal
from opx.web.pages import Room
from opx.web.passwords import weakness_of

WRONG = "This user name and password do not go together."
GONE = "This link was used already, or has expired. An administrator can make a new one."


def sign_in_room(console: Console) -> Room:
    """Sign-in, one-time links, own account. No menu: the frame links to them."""
    router = APIRouter()
    accounts = console.accounts

    @router.get("/sign-in")
    async def sign_in_page(request: Request, next: str = "/") -> Response:
        if request.state.visitor is not None:
            return console.shell.go(safe_goal(next))
        page = console.shell.page(request, "sign_in.html", form=Form({"next": safe_goal(next)}))
        return console.seal(request, page)

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        form: Form = request.state.form
        name, source = form.value("name"), request.state.source
        wait = console.limits.wait(name, source)
        if wait:
            form.refuse("", f"Too many wrong sign-ins; try again in {math.ceil(wait / 60)} min.")
            return console.seal(request, console.shell.page(request, "sign_in.html", 429, form=form))
        console.limits.tried(name, source)
        user, hashed = await accounts.for_sign_in(name)
        password = form.exact("password")
        if not await console.hasher.verify(hashed, password) or user is None:
            # A name that is none may be a password in the wrong field.
            await console.audit.note(user.name if user else "", source, "sign-in refused")
            form.refuse("", WRONG)
            return console.seal(request, console.shell.page(request, "sign_in.html", 403, form=form))
        console.limits.succeeded(name, source)
        if console.hasher.is_outdated(hashed):
            await accounts.renew_hash(user.id, await console.hasher.hash(password))
        return await begin(request, user, safe_goal(form.value("next")), "signed in")

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        await console.sessions.end(request.state.visitor.session_id)
        await console.note(request, "signed out")
        response = console.shell.go("/sign-in")
        console.let_out(response)
        return response

    @router.get("/link/{token}")
    async def link_page(request: Request, token: str) -> Response:
        link = await accounts.link(token)
        if link is None:
            raise Refused(410, "The link does not hold", GONE)
        page = console.shell.page(request, "link.html", user=link.user)
        return console.seal(request, page)

    @router.post("/link/{token}")
    async def use_link(request: Request, token: str) -> Response:
        form: Form = request.state.form
        link = await accounts.link(token)
        if link is None:
            raise Refused(410, "The link does not hold", GONE)
        name = link.user.name if link.user else form.value("name")
        try:
            check_name(name)
        except AccountError as error:
            form.refuse("name", str(error))
        _check_new(form, name)
        if form.errors:
            return console.seal(request, console.shell.page(request, "link.html", 422, form=form, user=link.user))
        user = await accounts.use_link(token, name, await console.hasher.hash(form.exact("new_password")))
        if user is None:
            raise Refused(410, "The link does not hold", GONE)
        return await begin(request, user, "/", "chose a password by a one-time link")

    @router.get("/account")
    async def account_page(request: Request) -> Response:
        return console.shell.page(request, "account.html")

    @router.post("/account")
    async def change_password(request: Request) -> Response:
        form: Form = request.state.form
        user: User = request.state.visitor.user
        source = request.state.source
        if wait := console.limits.wait(user.name, source):
            form.refuse("password", f"too many wrong ones; try again in {math.ceil(wait / 60)} min")
            return console.shell.page(request, "account.html", 429, form=form)
        console.limits.tried(user.name, source)
        _, hashed = await accounts.for_sign_in(user.name)
        if await console.hasher.verify(hashed, form.exact("password")):
            console.limits.succeeded(user.name, source)
        else:
            form.refuse("password", "this is not your present password")
        _check_new(form, user.name)
        if form.errors:
            return console.shell.page(request, "account.html", 422, form=form)
        await accounts.set_password(user.id, await console.hasher.hash(form.exact("new_password")))
        return await begin(request, user, "/account", "changed the own password", "Your password is changed.")

    async def begin(request: Request, user: User, goal: str, action: str, message: str = "") -> Response:
        """A new session, whatever came before it."""
        before = request.state.visitor
        if before is not None:
            await console.sessions.end(before.session_id)
        session_id = await console.sessions.begin(user.id, request.state.source)
        request.state.visitor = await console.sessions.visitor(session_id)
        await accounts.signed_in(user.id)
        await console.note(request, action)
        if message:
            console.shell.tell(request, message)
        response = console.shell.go(goal)
        console.let_in(response, session_id)
        return response

    return Room(router, open_paths=frozenset({"/sign-out", "/account"}))


def _check_new(form: Form, name: str) -> None:
    password = form.exact("new_password")
    if weakness := weakness_of(password, name):
        form.refuse("new_password", weakness)
    if form.exact("new_password_again") != password:
        form.refuse("new_password_again", "this is not the same")
