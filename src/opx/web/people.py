"""The pages about a console's people: users with their roles and links, and the audit log."""

from fastapi import APIRouter, HTTPException, Request, Response

from opx.web.accounts import AccountError, Outdated, Role, User
from opx.web.console import Console
from opx.web.forms import Form
from opx.web.listing import Listing, ListQuery, list_of
from opx.web.pages import MenuEntry, Room

ROLES = tuple(role.value for role in Role)
FIELDS = {"name": "Name", "role": "Role"}


def people_room(console: Console, heading: str = "Administration") -> Room:
    router = APIRouter()
    accounts = console.accounts

    @router.get("/users")
    async def list_users(request: Request) -> Response:
        query = ListQuery.read("/users", request.query_params, ("name", "role", "signed_in_at"))
        listing = list_of(
            await accounts.users(),
            query,
            lambda user, column: getattr(user, column) or 0 if column == "signed_in_at" else getattr(user, column),
            lambda user: (user.name, user.role.value),
        )
        return console.shell.page(request, "users.html", listing=listing)

    @router.get("/users/add")
    async def add_page(request: Request) -> Response:
        form = Form({"role": Role.READ_ONLY.value})
        return console.shell.page(request, "user.html", form=form, user=None, roles=ROLES, fields=FIELDS)

    @router.post("/users/add")
    async def add(request: Request) -> Response:
        form: Form = request.state.form
        try:
            user = await accounts.add(form.value("name"), _role(form))
        except AccountError as error:
            form.refuse(error.field, str(error))
            return console.shell.page(request, "user.html", 422, form=form, user=None, roles=ROLES, fields=FIELDS)
        await console.note(request, "added a user", user.name, f"role {user.role.value}")
        return await give_link(request, user)

    @router.get("/users/{user_id:int}")
    async def user_page(request: Request, user_id: int) -> Response:
        user = await known(user_id)
        form = Form({"role": user.role.value, "version": str(user.version)})
        return console.shell.page(request, "user.html", form=form, user=user, roles=ROLES, fields=FIELDS)

    @router.post("/users/{user_id:int}")
    async def change(request: Request, user_id: int) -> Response:
        form: Form = request.state.form
        user = await known(user_id)
        status = 422
        try:
            after = await accounts.change_role(user_id, _role(form), form.number("version") or 0)
        except AccountError as error:
            form.refuse(error.field, str(error))
        except Outdated:
            status = 409
            form = Form({"role": form.value("role"), "version": str(user.version)})
            form.refuse(
                "", f"{user.name} was changed meanwhile: the role is {user.role.value}. Save again to change it."
            )
        else:
            if after.role is not user.role:
                detail = f"role {user.role.value} to {after.role.value}"
                await console.note(request, "changed a user", user.name, detail)
            console.shell.tell(request, f"{user.name} is saved.")
            return console.shell.go("/users")
        return console.shell.page(request, "user.html", status, form=form, user=user, roles=ROLES, fields=FIELDS)

    @router.post("/users/{user_id:int}/link")
    async def reset(request: Request, user_id: int) -> Response:
        return await give_link(request, await known(user_id))

    @router.get("/users/{user_id:int}/remove")
    async def remove_page(request: Request, user_id: int) -> Response:
        return console.shell.page(request, "user_remove.html", user=await known(user_id), problem="")

    @router.post("/users/{user_id:int}/remove")
    async def remove(request: Request, user_id: int) -> Response:
        user = await known(user_id)
        if user.id == request.state.visitor.user.id:
            text = "That is yourself: another administrator can remove you."
            return console.shell.page(request, "user_remove.html", 422, user=user, problem=text)
        try:
            await accounts.remove(user_id)
        except AccountError as error:
            return console.shell.page(request, "user_remove.html", 422, user=user, problem=str(error))
        await console.note(request, "removed a user", user.name)
        console.shell.tell(request, f"{user.name} is removed.")
        return console.shell.go("/users")

    @router.get("/audit-log")
    async def audit_page(request: Request) -> Response:
        query = ListQuery.read("/audit-log", request.query_params, ("at",), descending=True)
        rows, total = await console.audit.entries(query.search, query.offset, query.size)
        return console.shell.page(request, "audit.html", listing=Listing(query, rows, total))

    async def known(user_id: int) -> User:
        user = await accounts.user(user_id)
        if user is None:
            raise HTTPException(404)
        return user

    async def give_link(request: Request, user: User) -> Response:
        token = await accounts.reset(user.id, console.policy.link_lifetime)
        await console.note(request, "made a one-time link", user.name)
        hours = console.policy.link_lifetime / 3600
        text = f"A one-time link for {user.name} to choose a password, good for {hours:.0f} h. It is shown this once:"
        console.shell.tell(request, text, secret=f"{request.base_url}link/{token}")
        return console.shell.go("/users")

    menu = (
        MenuEntry((heading, "Users"), "/users", 900),
        MenuEntry((heading, "Audit log"), "/audit-log", 910),
    )
    return Room(router, menu)


def _role(form: Form) -> Role:
    """AccountError."""
    if form.value("role") not in ROLES:
        raise AccountError("is no role; expected one of those shown", "role")
    return Role(form.value("role"))
