"""Configuration > Keymap Profiles and Configuration Profiles: what handsets are given, and which ones."""

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.console.keymap_pages import add_keymap_pages
from opx.suite.console.profile_forms import (
    LABELS,
    Page,
    form_of,
    forms_extensions,
    forms_models,
    spec_of,
)
from opx.suite.handsets.catalogue import MODELS
from opx.suite.profiles.records import ProfileKind, ProfileRecord, Scope
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.sites.records import Conflict, Missing, SiteError
from opx.suite.sites.repository import ExtensionQuery
from opx.suite.topics import PROFILES
from opx.web.forms import Form
from opx.web.pages import MenuEntry, Room

PAGES = (
    Page(
        ProfileKind.KEYMAP,
        "/keymap-profiles",
        "Keymap Profiles",
        "keymap profile",
        "Keys that handsets get. The default profile's come first; a model's, a hot desk extension's or a handset's "
        "own replace them key by key. Users cannot change these keys, unless a key is marked as free.",
    ),
    Page(
        ProfileKind.CONFIGURATION,
        "/configuration-profiles",
        "Configuration Profiles",
        "configuration profile",
        "Parameters that handsets get beside their accounts. The default profile's come first; a model's, a hot desk "
        "extension's or a handset's own replace them one by one.",
    ),
)
TELL_PHONES = "Phones that it concerns fetch it by themselves."


def profiles_room(desk: Desk) -> Room:
    router = APIRouter()
    for page in PAGES:
        _Pages(desk, page).add_to(router)
    menu = [MenuEntry(("Configuration", page.title), page.path, 42 + order) for order, page in enumerate(PAGES)]
    return Room(router, menu)


class _Pages:
    """The pages of one kind."""

    def __init__(self, desk: Desk, page: Page) -> None:
        self.desk = desk
        self.page = page
        self.repository = ProfileRepository(desk.sites.engine)

    def add_to(self, router: APIRouter) -> None:
        path = self.page.path
        router.add_api_route(path, self.list_profiles, methods=["GET"])
        router.add_api_route(f"{path}/add", self.add_page, methods=["GET"])
        router.add_api_route(f"{path}/add", self.add, methods=["POST"])
        one = f"{path}/{{profile_id:int}}"
        router.add_api_route(f"{one}/edit", self.edit_page, methods=["GET"])
        router.add_api_route(f"{one}/edit", self.edit, methods=["POST"])
        router.add_api_route(f"{one}/copy", self.copy, methods=["POST"])
        router.add_api_route(f"{one}/uses", self.uses_page, methods=["GET"])
        router.add_api_route(f"{one}/uses", self.save_uses, methods=["POST"])
        router.add_api_route(f"{one}/delete", self.delete_page, methods=["GET"])
        router.add_api_route(f"{one}/delete", self.delete, methods=["POST"])
        if self.page.kind is ProfileKind.KEYMAP:
            add_keymap_pages(router, self.desk, self.page, self.repository, self.known)

    async def list_profiles(self, request: Request) -> Response:
        profiles = await self.repository.profiles(self.page.kind)
        return self._show(request, "profiles.html", profiles=profiles, users=await self._users())

    async def add_page(self, request: Request) -> Response:
        return self._form(request, None, Form({"compress": "yes"}))

    async def add(self, request: Request) -> Response:
        form: Form = request.state.form
        try:
            record = await self.repository.save(spec_of(form, self.page.kind))
        except SiteError as error:
            form.refuse(error.field, str(error))
            return self._form(request, None, form, 422)
        await self.saved(request, "added", record)
        self.desk.console.shell.tell(request, f"{record.name} is added. Give it to somebody now.")
        further = "/keys/top" if self.page.kind is ProfileKind.KEYMAP else "/uses"
        return self.desk.console.shell.go(f"{self.page.path}/{record.id}{further}")

    async def edit_page(self, request: Request, profile_id: int) -> Response:
        record = await self.known(profile_id)
        return self._form(request, record, form_of(record))

    async def edit(self, request: Request, profile_id: int) -> Response:
        record, form = await self.known(profile_id), request.state.form
        try:
            spec = spec_of(form, self.page.kind, record.keys)
            record = await self.repository.save(spec, profile_id, form.number("version"))
        except SiteError as error:
            form.refuse(error.field, str(error))
            return self._form(request, record, form, 409 if isinstance(error, Conflict) else 422)
        await self.saved(request, "changed", record)
        self.desk.console.shell.tell(request, f"{record.name} is saved. {TELL_PHONES}")
        return self.desk.console.shell.go(self.page.path)

    async def copy(self, request: Request, profile_id: int) -> Response:
        record = await self.known(profile_id)
        taken = {profile.name for profile in await self.repository.profiles(self.page.kind)}
        names = (f"{record.name[:50]}, copy{f' {number}' if number > 1 else ''}" for number in range(1, 1000))
        copied = await self.repository.copy(profile_id, next(name for name in names if name not in taken))
        await self.saved(request, "copied", copied)
        self.desk.console.shell.tell(request, f"{record.name} is copied.")
        return self.desk.console.shell.go(f"{self.page.path}/{copied.id}/edit")

    async def uses_page(self, request: Request, profile_id: int) -> Response:
        record = await self.known(profile_id)
        mine = [use for use in await self.repository.uses() if use.profile_id == profile_id]
        numbers = await self._numbers([use.target for use in mine if use.scope is Scope.EXTENSION])
        form = Form(
            {
                "default": "yes" if any(use.scope is Scope.DEFAULT for use in mine) else "",
                "models": [use.target for use in mine if use.scope is Scope.MODEL],
                "extensions": ", ".join(numbers),
            }
        )
        return self._uses_form(request, record, form)

    async def save_uses(self, request: Request, profile_id: int) -> Response:
        record, form = await self.known(profile_id), request.state.form
        kind = self.page.kind
        try:
            wanted = {(Scope.MODEL, model) for model in forms_models(form)}
            wanted |= {(Scope.EXTENSION, str(key)) for key in await forms_extensions(form, self.desk.sites)}
        except SiteError as error:
            form.refuse(error.field, str(error))
            return self._uses_form(request, record, form, 422)
        if form.flag("default"):
            wanted.add((Scope.DEFAULT, ""))
        mine = {(use.scope, use.target) for use in await self.repository.uses() if use.profile_id == profile_id}
        for scope, target in wanted - mine:
            await self.repository.use(kind, scope, target, profile_id)
        for scope, target in mine - wanted:
            await self.repository.use(kind, scope, target, None)
        await self.saved(request, "gave to others", record)
        self.desk.console.shell.tell(request, f"{record.name} is given to those. {TELL_PHONES}")
        return self.desk.console.shell.go(self.page.path)

    async def delete_page(self, request: Request, profile_id: int) -> Response:
        return await self._deletion(request, await self.known(profile_id))

    async def delete(self, request: Request, profile_id: int) -> Response:
        record, form = await self.known(profile_id), request.state.form
        try:
            await self.repository.delete(profile_id, form.number("version"))
        except Conflict as error:
            return await self._deletion(request, record, str(error))
        await self.saved(request, "deleted", record)
        self.desk.console.shell.tell(request, f"{record.name} is deleted. {TELL_PHONES}")
        return self.desk.console.shell.go(self.page.path)

    async def known(self, profile_id: int) -> ProfileRecord:
        try:
            record = await self.repository.profile(profile_id)
        except Missing:
            raise HTTPException(404) from None
        if record.kind is not self.page.kind:
            raise HTTPException(404)
        return record

    async def saved(self, request: Request, what: str, record: ProfileRecord) -> None:
        await self.desk.console.note(request, f"{what} a {self.page.one}", record.name)
        self.desk.bulletin.publish(PROFILES)

    # --- helpers

    async def _users(self) -> dict[int, list[str]]:
        """By profile, who has it."""
        users: dict[int, list[str]] = {}
        uses = await self.repository.uses()
        numbers = dict(await self._numbered([use.target for use in uses if use.scope is Scope.EXTENSION]))
        for use in sorted(uses, key=lambda use: (list(Scope).index(use.scope), use.target)):
            said = {Scope.DEFAULT: "default", Scope.MODEL: use.target}.get(use.scope)
            users.setdefault(use.profile_id, []).append(said or f"hot desk {numbers.get(use.target, 'gone')}")
        for profile_id, number in (await self.repository.handsets(self.page.kind)).items():
            users.setdefault(profile_id, []).append(f"{number} handset{'s' if number > 1 else ''}")
        return users

    async def _numbered(self, targets: list[str]) -> list[tuple[str, str]]:
        """Ids of extensions with their numbers."""
        if not targets:
            return []
        found, _ = await self.desk.sites.extensions(ExtensionQuery(ids=[int(target) for target in targets]))
        return [(str(extension.id), extension.number) for extension in found]

    async def _numbers(self, targets: list[str]) -> list[str]:
        return [number for _, number in await self._numbered(targets)]

    def _form(self, request: Request, record: ProfileRecord | None, form: Form, status: int = 200) -> Response:
        return self._show(request, "profile_form.html", status, record=record, form=form, labels=LABELS)

    def _uses_form(self, request: Request, record: ProfileRecord, form: Form, status: int = 200) -> Response:
        models = [name for name in MODELS if name.startswith("69")] + [name for name in MODELS if name[:2] != "69"]
        return self._show(request, "profile_uses.html", status, record=record, form=form, models=models)

    async def _deletion(self, request: Request, record: ProfileRecord, problem: str = "") -> Response:
        users = (await self._users()).get(record.id, [])
        status = 409 if problem else 200
        return self._show(request, "profile_delete.html", status, record=record, users=users, problem=problem)

    def _show(self, request: Request, template: str, status: int = 200, **values: object) -> Response:
        return self.desk.console.shell.page(request, template, status, page=self.page, **values)
