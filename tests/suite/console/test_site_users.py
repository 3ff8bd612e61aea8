"""Site Settings > Users: the people of the office."""

from pathlib import Path

import pytest

from opx.suite.console.service import ConsoleService
from opx.suite.users.csv_file import MAX_PASSWORDS, UsersCsvError, parse
from opx.suite.users.records import Role, UserSpec
from opx.suite.users.repository import UserRepository
from support.console import Visitor, signed_in
from support.suite_console import open_suite_console
from support.suite_store import with_pbx

PAGE = "/site-users"
SECRET = "grey lake lamp"


async def opened(suite: ConsoleService) -> Visitor:
    await with_pbx(suite.sites, "1001", "1002", "1003")
    return await signed_in(suite)


def users_of(suite: ConsoleService) -> UserRepository:
    return UserRepository(suite.sites.engine)


async def take(visitor: Visitor, text: str) -> None:
    await visitor.get(f"{PAGE}/import")
    form = {name: value for name, value in visitor.form(f"{PAGE}/import").items() if name != "file"}
    file = {"file": ("users.csv", text.encode(), "text/csv")}
    visitor.page = await visitor.client.post(f"{PAGE}/import", data=form, files=file, follow_redirects=True)


async def test_a_user_is_added_with_extensions_and_a_password(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await visitor.get(f"{PAGE}/add")
        await visitor.send(
            f"{PAGE}/add",
            name="ada.l",
            full_name="Ada L.",
            role="Supervisor",
            business_unit="Sales",
            primary="1001",
            extensions="1002, 1003",
            password=SECRET,
            password_again=SECRET,
        )
        assert "ada.l is added." in visitor.text and "1001 , 1002 , 1003" in visitor.text
        user, hashed = await users_of(suite).for_sign_in("ADA.L")
        assert user is not None and user.primary is not None and user.primary.number == "1001"
        assert user.role is Role.SUPERVISOR
        assert await suite.console.hasher.verify(hashed, SECRET) and SECRET not in hashed
        await visitor.get("/pbxs/1/extensions/2")
        assert "User ada.l" in visitor.text
        await visitor.get("/audit-log")
        assert "added a user of the office user ada.l" in visitor.text


@pytest.mark.usefixtures("each_database")
async def test_a_user_is_changed_and_removed_and_an_extension_is_free_again(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await users_of(suite).save(UserSpec("ada", extensions=(1, 2), password_hash="x"))
        await visitor.get(f"{PAGE}/1")
        await visitor.send(f"{PAGE}/1", primary="1002", extensions="")
        user = await users_of(suite).user(1)
        assert [owned.number for owned in user.extensions] == ["1002"] and user.has_password
        assert await users_of(suite).owner_of(1) is None
        await visitor.get(f"{PAGE}/1/remove")
        await visitor.send(f"{PAGE}/1/remove")
        assert "There is no user yet." in visitor.text
        assert await users_of(suite).owner_of(2) is None


MISTAKES: tuple[tuple[dict[str, str], str], ...] = (
    ({"name": ""}, "is no user name"),
    ({"name": "BEN"}, "there is a user ben already"),
    ({"primary": "77"}, "there is no SIP extension '77'"),
    ({"primary": "1003"}, "extension 1003 is ben's; it can belong to one user at a time"),
    ({"primary": "1001", "extensions": "1001"}, "stands there twice"),
    ({"extensions": "1002"}, "expected one where there are further ones"),
    ({"role": "Emperor"}, "expected one of those shown"),
    ({"password": "short", "password_again": "short"}, "it is too short"),
    ({"password": SECRET}, "this is not the same as above"),
)


async def test_mistakes_are_named(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await users_of(suite).save(UserSpec("ben", extensions=(3,)))
        for values, said in MISTAKES:
            await visitor.get(f"{PAGE}/add")
            await visitor.send(f"{PAGE}/add", **{"name": "ada", **values})
            assert visitor.page.status_code == 422 and said in visitor.text, values
            assert SECRET not in visitor.html


async def test_who_was_overtaken_sees_what_differs(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        users = users_of(suite)
        await users.save(UserSpec("ada", extensions=(1,)))
        await visitor.get(f"{PAGE}/1")
        await users.save(UserSpec("ada", business_unit="Sales", extensions=(2,)), 1)
        await visitor.send(f"{PAGE}/1", full_name="Ada")
        assert visitor.page.status_code == 409 and "Primary extension 1002 1001" in visitor.text


@pytest.mark.usefixtures("each_database")
async def test_the_list_is_searched_by_name_unit_and_extension(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await users_of(suite).save(UserSpec("ada", business_unit="Sales", extensions=(1,)))
        await users_of(suite).save(UserSpec("ben", full_name="Ben B.", extensions=(2,)))
        for text, found in (("sal", "ada"), ("1002", "ben"), ("Ben B", "ben")):
            await visitor.get(f"{PAGE}?q={text}")
            assert "1 user" in visitor.text and f">{found}</a>" in visitor.html


async def test_a_file_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await take(visitor, f"user name;password;role;extensions\nada;{SECRET};user;1001 1002\nben;;Supervisor;77\n")
        assert visitor.page.status_code == 422
        assert "line 3: there is no SIP extension '77'" in visitor.text
        assert (await users_of(suite).users())[1] == 0
        await take(visitor, f"user name;password;role;extensions\nada;{SECRET};user;1001 1002\nben;;Supervisor;1003\n")
        assert "2 added, 0 changed" in visitor.text


@pytest.mark.usefixtures("each_database")
async def test_a_file_changes_what_it_tells_and_swaps_extensions(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        users = users_of(suite)
        await users.save(UserSpec("ada", Role.ADMIN, "Ada", "Sales", extensions=(1,), password_hash="kept"))
        await users.save(UserSpec("ben", extensions=(2,)))
        await take(visitor, "User Name,Extensions\nADA,1002\nben,1001\n")
        assert "0 added, 2 changed" in visitor.text
        ada, hashed = await users.for_sign_in("ada")
        assert ada is not None and ada.primary is not None and ada.primary.number == "1002"
        assert (ada.role, ada.business_unit, hashed) == (Role.ADMIN, "Sales", "kept")


FILE_MISTAKES = (
    ("name\nada\n", "line 1: expected user name"),
    ("user name,role\nada,King\n", "line 2: there is no such role"),
    ("user name,password\nada,short\n", "line 2: the password: it is too short"),
    ("user name\nada\nAda\n", "line 3: Ada stands in line 2 already"),
    ("user name,role\nada\n", "more or fewer cells"),
)


async def test_mistakes_of_a_file_are_named_with_their_lines(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        for text, said in FILE_MISTAKES:
            await take(visitor, text)
            assert visitor.page.status_code == 422 and said in visitor.text, text


def test_a_file_with_more_passwords_than_can_be_waited_for_is_refused() -> None:
    lines = [f"user-{number},{SECRET}" for number in range(MAX_PASSWORDS + 1)]
    with pytest.raises(UsersCsvError, match="at most 200 passwords"):
        parse("\n".join(["user name,password", *lines]).encode())
    assert len(parse("\n".join(["user name,password", *lines[1:]]).encode())) == MAX_PASSWORDS
