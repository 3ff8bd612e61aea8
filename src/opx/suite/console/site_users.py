"""Site Settings > Users: the people of the office, and which extensions are theirs."""

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.console.pbx_menu import SITE_SETTINGS
from opx.suite.console.phone_desk import PhoneDesk, pick
from opx.suite.console.site_users_import import MAX_UPLOAD, UsersImport
from opx.suite.sites.records import Conflict, Missing, SiteError
from opx.suite.topics import EXTENSIONS
from opx.suite.users.records import Role, UserRecord, UserSpec, weakness_of
from opx.web.audit import differences
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form
from opx.web.listing import Listing, ListQuery
from opx.web.pages import MenuEntry, Room

PAGE = "/site-users"
SORTS = ("name", "full_name", "role", "business_unit")
LABELS = {
    "name": "User name",
    "full_name": "Full name",
    "role": "Role",
    "business_unit": "Business unit",
    "client_profile": "Client profile",
    "primary": "Primary extension",
    "extensions": "Further extensions",
    "password": "Password",
    "password_again": "The same again",
}
SHOWN = {name: label for name, label in LABELS.items() if not name.startswith("password")}
"""What may be compared and written down."""


def site_users_room(desk: Desk) -> Room:
    router = APIRouter()
    users, phones = desk.users, PhoneDesk(desk)

    @router.get(PAGE)
    async def list_users(request: Request) -> Response:
        query = ListQuery.read(PAGE, request.query_params, SORTS)
        rows, total = await users.users(
            query.search, query.sort, descending=query.descending, limit=query.size, offset=query.offset
        )
        return desk.console.shell.page(request, "site_users.html", listing=Listing(query, rows, total))

    @router.get(f"{PAGE}/add")
    async def add_page(request: Request) -> Response:
        return await form_page(request, Form({"role": Role.USER.value}), None)

    @router.post(f"{PAGE}/add")
    async def add(request: Request) -> Response:
        form: Form = request.state.form
        try:
            user = await users.save(await spec_of(form))
        except SiteError as error:
            form.refuse(error.field, str(error))
            return await form_page(request, form, None, 422)
        await saved(request, "added a user of the office", user, f"role {user.role.value}")
        desk.console.shell.tell(request, f"{user.name} is added.")
        return desk.console.shell.go(PAGE)

    @router.get(f"{PAGE}/{{user_id:int}}")
    async def edit_page(request: Request, user_id: int) -> Response:
        user = await known(user_id)
        return await form_page(request, Form({**await values_of(user), "version": str(user.version)}), user)

    @router.post(f"{PAGE}/{{user_id:int}}")
    async def edit(request: Request, user_id: int) -> Response:
        form: Form = request.state.form
        before = await known(user_id)
        try:
            after = await users.save(await spec_of(form), user_id, form.number("version") or 0)
        except Conflict:
            stored = await known(user_id)
            typed = {name: form.value(name) for name in SHOWN}
            found = clash(SHOWN, await values_of(stored), typed, await desk.console.audit.last(_target(stored)))
            return await form_page(request, Form({**typed, "version": str(stored.version)}), stored, 409, found)
        except SiteError as error:
            form.refuse(error.field, str(error))
            return await form_page(request, form, before, 422)
        detail = differences(await values_of(before), await values_of(after))
        if form.exact("password"):
            detail = "; ".join(filter(None, (detail, "password written")))
        if detail:
            await saved(request, "changed a user of the office", after, detail)
        desk.console.shell.tell(request, f"{after.name} is saved.")
        return desk.console.shell.go(PAGE)

    @router.get(f"{PAGE}/{{user_id:int}}/remove")
    async def remove_page(request: Request, user_id: int) -> Response:
        return desk.console.shell.page(request, "site_user_remove.html", user=await known(user_id))

    @router.post(f"{PAGE}/{{user_id:int}}/remove")
    async def remove(request: Request, user_id: int) -> Response:
        user = await known(user_id)
        await users.remove(user_id)
        await saved(request, "removed a user of the office", user)
        desk.console.shell.tell(request, f"{user.name} is removed.")
        return desk.console.shell.go(PAGE)

    async def spec_of(form: Form) -> UserSpec:
        """What was typed. SiteError of the first mistake."""
        role = next((role for role in Role if role.value == form.value("role")), None)
        if role is None:
            raise SiteError("expected one of those shown", "role")
        password = form.exact("password")
        if password != form.exact("password_again"):
            raise SiteError("this is not the same as above", "password_again")
        if password and (weakness := weakness_of(password, form.value("name"))):
            raise SiteError(weakness, "password")
        known_ids = await phones.rows.extension_ids()
        ids = []
        typed = [("primary", form.value("primary"))]
        typed += [("extensions", text.strip()) for text in form.value("extensions").replace("\n", ",").split(",")]
        for field, text in typed:
            if text:
                try:
                    ids.append(pick(text, known_ids))
                except SiteError as error:
                    raise SiteError(str(error), field) from None
        if not form.value("primary") and ids:
            raise SiteError("expected one where there are further ones", "primary")
        spec = UserSpec(
            form.value("name"),
            role,
            form.value("full_name"),
            form.value("business_unit"),
            form.value("client_profile"),
            tuple(key for key in ids if key is not None),
        )
        spec.check()
        return spec.with_password(await desk.console.hasher.hash(password)) if password else spec

    async def values_of(user: UserRecord) -> dict[str, str]:
        """As they may be typed again."""
        numbers = [await phones.number_of(owned.id) for owned in user.extensions]
        return {
            "name": user.name,
            "full_name": user.full_name,
            "role": user.role.value,
            "business_unit": user.business_unit,
            "client_profile": user.client_profile,
            "primary": numbers[0] if numbers else "",
            "extensions": ", ".join(numbers[1:]),
        }

    async def form_page(
        request: Request, form: Form, user: UserRecord | None, status: int = 200, found: Clash | None = None
    ) -> Response:
        return desk.console.shell.page(
            request,
            "site_user_form.html",
            status,
            form=form,
            user=user,
            labels=LABELS,
            roles=[(role.value, role.value) for role in Role],
            units=await users.business_units(),
            clash=found,
        )

    async def saved(request: Request, action: str, user: UserRecord, detail: str = "") -> None:
        await desk.saved(request, EXTENSIONS, action, _target(user), detail, [owned.id for owned in user.extensions])

    async def known(user_id: int) -> UserRecord:
        try:
            return await users.user(user_id)
        except Missing:
            raise HTTPException(404) from None

    UsersImport(desk, phones).add_to(router)
    menu = (MenuEntry((*SITE_SETTINGS, "Users"), PAGE, 9),)
    return Room(router, menu, uploads={f"{PAGE}/import": MAX_UPLOAD})


def _target(user: UserRecord) -> str:
    return f"user {user.name}"
