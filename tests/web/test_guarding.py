"""What stands between a browser and a console's pages: form tokens, roles, headers, bounds."""

from pathlib import Path

import pytest

from opx.web.accounts import Role
from opx.web.guard import MAX_BODY
from support.console import PASSWORD, Visitor, add_user, open_console, signed_in


async def test_a_form_without_the_sessions_own_token_is_not_taken(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor, other = await signed_in(web, "ada"), await signed_in(web, "bob")
        await other.get("/users/add")
        foreign = other.form("/users/add")["form_token"]
        for token in ("", "wrong", foreign):
            await visitor.get("/users/add")
            page = await visitor.send("/users/add", name="eve", form_token=token)
            assert page.status_code == 403
            assert "reload the page" in visitor.text
        assert "eve" not in [user.name for user in await web.console.accounts.users()]


async def test_the_sign_in_form_needs_its_token_too(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        visitor = Visitor(web)
        answer = await visitor.client.post("/sign-in", data={"name": "ada", "password": PASSWORD})
        assert answer.status_code == 403
        assert "__Host-opx-gateway" not in visitor.client.cookies


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.test"}]
)
async def test_a_form_of_another_site_is_not_taken_even_with_the_token(tmp_path: Path, headers: dict[str, str]) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/users/add")
        data = {**visitor.form("/users/add"), "name": "eve"}
        answer = await visitor.client.post("/users/add", data=data, headers=headers)
        assert (answer.status_code, "another site" in answer.text) == (403, True)


async def test_a_read_only_user_looks_at_everything_and_changes_nothing(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        visitor = await signed_in(web, "rea", Role.READ_ONLY)
        await visitor.get("/users")
        assert "Add a user" not in visitor.text and "/remove" not in visitor.html
        token = visitor.form("/sign-out")["form_token"]
        for path in ("/users/add", "/users/1", "/users/1/link", "/users/1/remove"):
            answer = await visitor.client.post(path, data={"form_token": token, "name": "eve", "role": "administrator"})
            assert (answer.status_code, "read-only" in answer.text) == (403, True), path
        assert len(await web.console.accounts.users()) == 2


async def test_every_answer_carries_the_security_headers(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        stranger = Visitor(web)
        answers = [await visitor.get(path) for path in ("/", "/users", "/nowhere", "/static/opx.css", "/health")]
        answers.append(await stranger.client.get("/"))
        answers.append(await stranger.client.post("/users/add"))
        for answer in answers:
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert ("no-store" in answer.headers["cache-control"]) != ("/static/" in str(answer.url))


async def test_no_page_has_script_or_style_of_its_own(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        for path in ("/", "/users", "/users/add", "/audit-log", "/account"):
            html = (await visitor.get(path)).text
            assert html.count("<script") == html.count('<script src="/static/') == 1
            assert " style=" not in html and "<style" not in html and " on" + "click" not in html


async def test_a_body_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = Visitor(web)
        await visitor.get("/sign-in")
        page = await visitor.send("/sign-in", name="x" * MAX_BODY)
        assert page.status_code == 413


async def test_a_page_that_fails_says_so_without_its_reason_and_the_log_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)

        async def fail() -> None:
            raise RuntimeError("the reason")

        monkeypatch.setattr(web.console.accounts, "users", fail)
        page = await visitor.get("/users")
        assert (page.status_code, "the reason" in page.text, "calls go on" in page.text) == (500, False, True)
        assert "the reason" in caplog.text


async def test_health_is_told_to_anyone_and_tells_nothing_else(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        assert (await Visitor(web).get("/health")).json() == {"status": "ok"}


async def test_a_live_look_without_a_session_is_told_so_instead_of_being_sent_to_the_sign_in(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        answer = await Visitor(web).client.get("/", headers={"X-OPX-Live": "1"})
        assert answer.status_code == 401
