"""Signing in and out of a console: links, sessions, limits, and what strangers learn."""

from pathlib import Path

import argon2
import pytest

from opx.gateway.web.service import WebService
from opx.web.accounts import Role
from opx.web.limits import SignInLimits
from opx.web.sessions import Sessions
from support.console import PASSWORD, Visitor, add_user, open_console, signed_in
from support.gateway_store import stored_bytes

pytestmark = pytest.mark.usefixtures("each_database")

NEW = "seven loud blue teapots"


async def first_link(web: WebService) -> str:
    token = await web.console.accounts.first_link(60)
    assert token is not None
    return f"/link/{token}"


async def test_nobody_is_let_in_by_default_and_every_page_leads_to_the_sign_in(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = Visitor(web)
        for path in ("/", "/users", "/audit-log", "/account", "/users/1"):
            await visitor.get(path)
            assert visitor.page.url.path == "/sign-in", path
        for name, password in (("admin", "admin"), ("admin", ""), ("", "")):
            await visitor.get("/sign-in")
            assert (await visitor.send("/sign-in", name=name, password=password)).status_code == 403


async def test_the_first_link_makes_an_administrator_once(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        path = await first_link(web)
        visitor, late = Visitor(web), Visitor(web)
        await late.get(path)
        await visitor.get(path)
        await visitor.send(path, name="ada", new_password=PASSWORD, new_password_again=PASSWORD)
        assert "Dashboard" in visitor.text and "administrator" in visitor.text
        assert (await late.send(path, name="eve", new_password=NEW, new_password_again=NEW)).status_code == 410
        assert (await late.get(path)).status_code == 410
        assert await web.console.accounts.first_link(60) is None
        assert [user.name for user in await web.console.accounts.users()] == ["ada"]


async def test_a_newer_first_link_replaces_the_older_one(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        older, newer = await first_link(web), await first_link(web)
        visitor = Visitor(web)
        assert (await visitor.get(older)).status_code == 410
        assert (await visitor.get(newer)).status_code == 200


async def test_a_link_that_has_expired_or_is_made_up_does_not_hold(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        token = await web.console.accounts.first_link(-1)
        visitor = Visitor(web)
        assert (await visitor.get(f"/link/{token}")).status_code == 410
        assert (await visitor.get("/link/made-up")).status_code == 410


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("tiny-1", "tiny-1", "too short"),
        (f"ada {PASSWORD}", f"ada {PASSWORD}", "it holds the user name"),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", "hardly any different"),
        (PASSWORD, NEW, "not the same"),
    ],
)
async def test_a_password_that_is_not_allowed_is_named_at_its_field_and_not_sent_back(
    tmp_path: Path, password: str, again: str, said: str
) -> None:
    async with open_console(tmp_path) as web:
        path = await first_link(web)
        visitor = Visitor(web)
        await visitor.get(path)
        page = await visitor.send(path, name="ada", new_password=password, new_password_again=again)
        assert page.status_code == 422
        assert said in visitor.text
        assert 'aria-invalid="true"' in visitor.html
        assert 'value="ada"' in visitor.html
        assert password not in visitor.html


async def test_signing_in_goes_on_to_the_page_that_was_asked_for_and_to_no_other_site(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        visitor = Visitor(web)
        await visitor.get("/audit-log?q=x")
        await visitor.send("/sign-in", name="ada", password=PASSWORD)
        assert str(visitor.page.url) == "https://console.test/audit-log?q=x"
        for goal in ("https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)"):
            other = Visitor(web)
            await other.get("/sign-in")
            page = await other.post("/sign-in", name="ada", password=PASSWORD, next=goal)
            assert page.headers["location"] == "/", goal


async def test_the_session_cookie_is_for_https_out_of_scripts_reach_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        visitor = Visitor(web)
        await visitor.get("/sign-in")
        page = await visitor.post("/sign-in", name="ada", password=PASSWORD)
        (cookie,) = [line for line in page.headers.get_list("set-cookie") if line.startswith("__Host-opx-gateway=")]
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        value = cookie.split(";")[0].partition("=")[2]
    kept = stored_bytes(tmp_path)
    assert b"ada" in kept
    assert value.encode() not in kept
    assert PASSWORD.encode() not in kept


async def test_signing_in_changes_the_session_and_signing_out_ends_it(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        first = dict(visitor.client.cookies)
        await visitor.get("/")
        await visitor.send("/sign-out")
        assert visitor.page.url.path == "/sign-in"
        visitor.client.cookies.update(first)
        await visitor.get("/")
        assert visitor.page.url.path == "/sign-in"


async def test_unknown_users_and_wrong_passwords_look_the_same_and_names_that_are_none_are_not_written_down(
    tmp_path: Path,
) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        texts = []
        for name in ("ada", "my secret in the wrong field"):
            visitor = Visitor(web)
            await visitor.sign_in(name, "wrong")
            texts.append(visitor.text.replace(name, ""))
        assert texts[0] == texts[1]
        entries, _ = await web.console.audit.entries("", 0, 10)
        assert [(entry.user, entry.action) for entry in entries] == [
            ("", "sign-in refused"),
            ("ada", "sign-in refused"),
        ]


async def test_too_many_wrong_sign_ins_are_refused_unseen_and_another_address_gets_in(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        known = Visitor(web, "192.168.20.51")
        await known.sign_in("ada")
        guesser = Visitor(web, "192.168.20.66")
        for _ in range(web.console.policy.tries_per_user):
            assert (await guesser.sign_in("ada", "wrong")).status_code == 403
        assert (await guesser.sign_in("ada")).status_code == 429
        assert "try again in 15 min" in guesser.text
        # Whoever signed in before from elsewhere is not locked out by the guesser.
        again = Visitor(web, "192.168.20.51")
        assert (await again.sign_in("ada")).status_code == 200


def test_limits_move_on_with_time_and_count_tries_at_the_same_time() -> None:
    now = 0.0
    limits = SignInLimits(2, 3, 100.0, lambda: now)
    limits.tried("ada", "a")
    limits.tried("ada", "a")
    assert limits.wait("ada", "b") == 100.0
    assert limits.wait("bob", "a") == 0.0
    limits.tried("bob", "a")
    assert limits.wait("carl", "a") == 100.0
    now = 99.0
    assert limits.wait("ada", "b") == 1.0
    now = 100.0
    assert limits.wait("ada", "b") == 0.0


def test_a_success_is_no_failure_and_does_not_forgive_a_source() -> None:
    limits = SignInLimits(2, 2, 100.0, lambda: 0.0)
    limits.tried("eve", "a")
    limits.tried("ada", "a")
    limits.succeeded("ada", "a")
    assert limits.wait("ada", "a") == 0.0
    limits.tried("eve", "a")
    assert limits.wait("ada", "a") == 100.0


@pytest.mark.parametrize(("idle", "longest"), [(100.0, 1000.0), (1000.0, 100.0)])
async def test_a_session_ends_when_it_was_not_used_and_after_its_longest_time(
    tmp_path: Path, idle: float, longest: float
) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        now = 1000.0
        own = web.console.sessions
        sessions = Sessions(own._engine, own._tables, idle=idle, longest=longest, clock=lambda: now)
        session_id = await sessions.begin(1, "192.168.20.50")
        now = 1099.0
        assert await sessions.visitor(session_id, used=False) is not None
        now = 1100.0
        assert await sessions.visitor(session_id) is None


async def test_use_keeps_a_session_alive_and_a_page_that_brings_itself_up_to_date_does_not(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        now = 0.0
        own = web.console.sessions
        sessions = Sessions(own._engine, own._tables, idle=100.0, longest=1000.0, clock=lambda: now)
        kept, left = await sessions.begin(1, "a"), await sessions.begin(1, "a")
        now = 90.0
        assert await sessions.visitor(kept) and await sessions.visitor(left, used=False)
        now = 150.0
        assert await sessions.visitor(kept) is not None
        assert await sessions.visitor(left) is None


async def test_changing_the_own_password_needs_the_present_one_and_ends_the_other_sessions(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        here = await signed_in(web, "rea", Role.READ_ONLY)
        there = Visitor(web)
        await there.sign_in("rea")
        await here.get("/account")
        wrong = await here.send("/account", password="wrong", new_password=NEW, new_password_again=NEW)
        assert (wrong.status_code, "this is not your present password" in here.text) == (422, True)
        await here.send("/account", password=PASSWORD, new_password=NEW, new_password_again=NEW)
        assert "Your password is changed." in here.text
        await there.get("/")
        assert there.page.url.path == "/sign-in"
        assert (await there.sign_in("rea")).status_code == 403
        assert (await there.sign_in("rea", NEW)).status_code == 200


async def only_hash(web: WebService) -> str:
    async with web.repository.engine.connect() as connection:
        return str((await connection.exec_driver_sql("SELECT password_hash FROM console_user")).scalar_one())


async def test_an_old_hash_is_made_anew_at_the_next_sign_in(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        weaker = "$argon2id$v=19$m=8,t=1,p=1$"
        before = await only_hash(web)
        assert before.startswith(weaker)
        web.console.hasher._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
        assert (await Visitor(web).sign_in("ada")).status_code == 200
        after = await only_hash(web)
        assert after.startswith("$argon2id$v=19$m=16,t=2,p=1$")
