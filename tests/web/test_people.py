"""A console's users and audit log."""

import re
from pathlib import Path

import pytest

from opx.web.accounts import Role
from opx.web.audit import differences
from support.console import PASSWORD, Visitor, add_user, open_console, signed_in

pytestmark = pytest.mark.usefixtures("each_database")


async def test_a_new_user_chooses_a_password_by_a_link_that_is_shown_once(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        ada = await signed_in(web)
        await ada.get("/users/add")
        await ada.send("/users/add", name="rea", role="read-only")
        link = re.search(r"https://console\.test(/link/[\w-]+)", ada.text)
        assert link, ada.text
        await ada.get("/users")
        assert "/link/" not in ada.html.replace("/users/2/link", "").replace("/users/1/link", "")
        rea = Visitor(web)
        await rea.get(link[1])
        await rea.send(link[1], new_password=PASSWORD, new_password_again=PASSWORD)
        assert "rea read-only" in rea.text
        entries, _ = await web.console.audit.entries("", 0, 10)
        assert [(entry.user, entry.action, entry.target) for entry in entries[:3]] == [
            ("rea", "chose a password by a one-time link", ""),
            ("ada", "made a one-time link", "rea"),
            ("ada", "added a user", "rea"),
        ]
        assert link[1].rsplit("/", 1)[1] not in str(entries)


async def test_a_live_look_leaves_the_message_for_the_page_that_a_person_sees(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        ada = await signed_in(web)
        await ada.get("/users")
        await ada.post("/users/1/link")
        await ada.get("/users", X_OPX_Live="1")
        assert "shown this once" not in ada.text
        await ada.get("/users")
        assert "shown this once" in ada.text


async def test_a_mistake_keeps_what_was_typed(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        ada = await signed_in(web)
        for name, said in (("<b>eve", "is no user name"), ("ada", "there is a user ada already")):
            await ada.get("/users/add")
            page = await ada.send("/users/add", name=name, role="administrator")
            assert (page.status_code, said in ada.text) == (422, True)
            assert ada.form("/users/add")["name"] == name
            assert ada.form("/users/add")["role"] == "administrator"
            assert "<b>eve" not in ada.html


async def test_the_last_administrator_stays(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        ada = await signed_in(web)
        await ada.get("/users/1")
        await ada.send("/users/1", role="read-only")
        assert "ada is the last administrator" in ada.text
        await ada.get("/users/1/remove")
        assert (await ada.send("/users/1/remove")).status_code == 422
        # One who was added and has no password yet is no help.
        await web.console.accounts.add("bob", Role.ADMINISTRATOR)
        await ada.get("/users/1")
        assert (await ada.send("/users/1", role="read-only")).status_code == 422


async def test_a_removed_users_session_ends_at_once(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        ada, bob = await signed_in(web, "ada"), await signed_in(web, "bob")
        await ada.get("/users/2/remove")
        await ada.send("/users/2/remove")
        assert "bob is removed." in ada.text
        await bob.get("/")
        assert bob.page.url.path == "/sign-in"


async def test_a_change_of_role_counts_from_the_next_page_on(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        ada, bob = await signed_in(web, "ada"), await signed_in(web, "bob")
        await ada.get("/users/2")
        await ada.send("/users/2", role="read-only")
        await bob.get("/users")
        assert "bob read-only" in bob.text
        assert "Add a user" not in bob.text


async def test_two_who_change_a_user_at_once_do_not_overwrite_each_other_unseen(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        ada, bob = await signed_in(web, "ada"), await signed_in(web, "bob")
        await add_user(web, "rea", Role.READ_ONLY)
        await ada.get("/users/3")
        await bob.get("/users/3")
        await bob.send("/users/3", role="administrator")
        page = await ada.send("/users/3", role="read-only")
        assert (page.status_code, "was changed meanwhile: the role is administrator" in ada.text) == (409, True)
        await ada.send("/users/3", role="read-only")
        assert "rea is saved." in ada.text


@pytest.mark.usefixtures("each_database")
async def test_the_audit_log_is_searched_and_paged(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        ada = await signed_in(web)
        for number in range(30):
            await web.console.audit.note("ada", "192.168.20.50", "changed a device", f"tw{number}%", "x")
        await ada.get("/audit-log")
        assert "1 to 25 of 31 entries" in ada.text and "tw29%" in ada.text
        await ada.get("/audit-log?page=2")
        assert "26 to 31 of 31 entries" in ada.text
        await ada.get("/audit-log?q=TW7%25")
        assert "1 to 1 of 1 entry" in ada.text
        await ada.get("/audit-log?q=_")
        assert "Nothing is found." in ada.text


@pytest.mark.usefixtures("each_database")
async def test_the_audit_log_keeps_the_newest_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opx.web.audit.MAX_ENTRIES", 5)
    monkeypatch.setattr("opx.web.audit.TRIM_EVERY", 2)
    async with open_console(tmp_path) as web:
        for number in range(10):
            await web.console.audit.note("ada", "192.168.20.50", "did", str(number))
        entries, total = await web.console.audit.entries("", 0, 10)
        assert total <= 6
        assert [entry.target for entry in entries[:5]] == ["9", "8", "7", "6", "5"]


def test_differences_say_what_changed_in_words() -> None:
    before = {"name": "a", "enabled": True, "port": None, "same": 1}
    after = {"name": "b", "enabled": False, "port": 5070, "same": 1}
    assert differences(before, after) == 'name "a" to "b"; enabled yes to no; port nothing to 5070'
