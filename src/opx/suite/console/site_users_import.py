"""Many users at once, from a CSV file: all of it or nothing."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.console.phone_desk import PhoneDesk, pick
from opx.suite.sites.records import SiteError
from opx.suite.topics import EXTENSIONS
from opx.suite.users.csv_file import COLUMNS, MAX_BYTES, ReadUser, UsersCsvError, parse
from opx.suite.users.records import Role, UserRecord, UserSpec
from opx.web.forms import Form

MAX_UPLOAD = MAX_BYTES + 64 * 1024
"""Bytes of a request with a file."""


class UsersImport:
    """See the module. Users who are there already, by name, are changed."""

    def __init__(self, desk: Desk, phones: PhoneDesk) -> None:
        self._desk = desk
        self._phones = phones

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/site-users/import", self.page, methods=["GET"], response_model=None)
        router.add_api_route("/site-users/import", self.take, methods=["POST"], response_model=None)

    async def page(self, request: Request) -> Response:
        return self._page(request, Form())

    async def take(self, request: Request) -> Response:
        form: Form = request.state.form
        if "file" not in form.files:
            form.refuse("file", "no file was chosen")
            return self._page(request, form, 422)
        try:
            read = parse(await form.files["file"].read(MAX_BYTES + 1))
            specs = await self._specs(read)
            added, changed = await self._desk.users.save_all(specs)
        except UsersCsvError as error:
            for number, mistake in enumerate(error.mistakes):
                form.refuse(f"mistake-{number}", mistake)
            return self._page(request, form, 422)
        except SiteError as error:
            form.refuse("file", str(error))
            return self._page(request, form, 422)
        detail = f"{added} added, {changed} changed"
        await self._desk.saved(request, EXTENSIONS, "imported users of the office", "", detail)
        self._desk.console.shell.tell(request, f"The file is taken: {detail}.")
        return self._desk.console.shell.go("/site-users")

    async def _specs(self, read: Sequence[ReadUser]) -> list[UserSpec]:
        """UsersCsvError."""
        ids = await self._phones.rows.extension_ids()
        known = {user.name.casefold(): user for user in (await self._desk.users.users())[0]}
        mistakes: list[str] = []
        specs = []
        for user in read:
            try:
                spec = _spec(user, known.get(user.name.casefold()), ids)
                spec.check()
            except SiteError as error:
                mistakes.append(f"line {user.line}: {error}")
                continue
            specs.append((user, spec))
        if mistakes:
            raise UsersCsvError(mistakes)
        hashed = []
        for user, spec in specs:
            password = await self._desk.console.hasher.hash(user.password) if user.password else None
            hashed.append(spec.with_password(password))
        return hashed

    def _page(self, request: Request, form: Form, status: int = 200) -> Response:
        return self._desk.console.shell.page(
            request, "site_users_import.html", status, form=form, columns=COLUMNS, labels={"file": "CSV file"}
        )


def _spec(user: ReadUser, before: UserRecord | None, ids: Mapping[str, Sequence[int]]) -> UserSpec:
    """What a line asks for; what it does not say stays as it is. SiteError."""
    if user.extensions is not None:
        extensions = tuple(key for number in user.extensions if (key := pick(number, ids)) is not None)
    else:
        extensions = tuple(owned.id for owned in before.extensions) if before else ()
    stored = before or UserRecord(0, user.name, Role.USER, "", "", "", False, ())
    return UserSpec(
        user.name,
        user.role or stored.role,
        stored.full_name if user.full_name is None else user.full_name,
        stored.business_unit if user.business_unit is None else user.business_unit,
        stored.client_profile if user.client_profile is None else user.client_profile,
        extensions,
    )
