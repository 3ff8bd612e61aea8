"""Configuration > Keymap Profiles and Configuration Profiles."""

from pathlib import Path

import pytest

from opx.suite.handsets.keys import Key
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.profiles.records import ProfileKind, Scope, Use
from opx.suite.profiles.repository import ProfileRepository
from opx.web.accounts import Role
from support.console import signed_in
from support.suite_console import open_suite_console
from support.suite_store import read, with_pbx


async def test_a_keymap_is_made_filled_and_given_to_models(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        pbx, _ = await with_pbx(suite.sites, "1001")
        await suite.sites.take_over(pbx.id, [read("1001"), read("1500", hot_desk=True)], 1.0)
        visitor = await signed_in(suite)
        await visitor.get("/keymap-profiles/add")
        await visitor.send("/keymap-profiles/add", name="Sales", description="Ground floor")
        keys = "/keymap-profiles/1/keys/top"
        assert str(visitor.page.url).endswith(keys) and "6920 10" in visitor.text
        values = {"type-3": "speeddial", "value-3": "100", "label-3": "Desk", "type-5": "blf", "value-5": "1002"}
        await visitor.send(keys, **values, **{"line-5": "1", "states-5": "idle, busy", "free-5": "yes"})
        assert "The keys of Sales are saved." in visitor.text and "Beside the display (2)" in visitor.text
        (profile,) = await ProfileRepository(suite.sites.engine).profiles()
        assert profile.keys == (
            Key("top", 3, "speeddial", "100", "Desk"),
            Key("top", 5, "blf", "1002", "", 1, ("idle", "busy"), True),
        )
        phones = PhoneRepository(suite.sites.engine, suite.sites.sealer)
        await phones.add("1400E9123456")
        await phones.give_profiles("1400E9123456", None, 1)
        await visitor.get("/keymap-profiles/1/uses")
        await visitor.send("/keymap-profiles/1/uses", default="yes", models=["6930", "6940"], extensions="1500")
        assert "default, 6930, 6940, hot desk 1500, 1 handset" in visitor.text
        await visitor.get("/keymap-profiles/1/uses")
        form = visitor.form("/keymap-profiles/1/uses")
        assert (form["default"], form["models"], form["extensions"]) == ("yes", ["6930", "6940"], "1500")
        await visitor.send("/keymap-profiles/1/uses", default="", models="6940", extensions="")
        assert await ProfileRepository(suite.sites.engine).uses() == [Use(ProfileKind.KEYMAP, Scope.MODEL, "6940", 1)]


async def test_keys_of_other_locations_and_further_keys_stay_when_one_page_is_saved(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get("/keymap-profiles/add")
        await visitor.send("/keymap-profiles/add", name="Big")
        for page, number in (("expmod1?from=61", 70), ("expmod1", 2), ("bottom", 1)):
            await visitor.get(f"/keymap-profiles/1/keys/{page}")
            path = f"/keymap-profiles/1/keys/{page.partition('?')[0]}"
            await visitor.send(path, **{f"type-{number}": "dnd"})
            assert visitor.page.status_code == 200
        (profile,) = await ProfileRepository(suite.sites.engine).profiles()
        assert [key.place for key in profile.keys] == [("bottom", 1), ("expmod1", 2), ("expmod1", 70)]
        await visitor.get("/keymap-profiles/1/keys/expmod1")
        await visitor.send("/keymap-profiles/1/keys/expmod1", **{"type-2": ""})
        (profile,) = await ProfileRepository(suite.sites.engine).profiles()
        assert [key.place for key in profile.keys] == [("bottom", 1), ("expmod1", 70)]


async def test_a_wrong_key_is_shown_at_its_row_and_nothing_is_saved(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get("/keymap-profiles/add")
        await visitor.send("/keymap-profiles/add", name="Sales")
        path = "/keymap-profiles/1/keys/bottom"
        await visitor.get(path)
        await visitor.send(path, **{"type-1": "dnd", "type-2": "blf", "label-2": "Tom"})
        assert visitor.page.status_code == 422 and "a blf key needs a value" in visitor.text
        assert visitor.form(path)["label-2"] == "Tom" and visitor.form(path)["type-1"] == "dnd"
        (profile,) = await ProfileRepository(suite.sites.engine).profiles()
        assert profile.keys == ()
        assert (await visitor.get("/keymap-profiles/1/keys/side")).status_code == 404


async def test_a_configuration_is_checked_copied_and_deleted(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get("/configuration-profiles/add")
        add = "/configuration-profiles/add"
        await visitor.send(add, name="Plain", parameters="sip line1 password: 1", hot_desking="on")
        assert visitor.page.status_code == 422 and "the account comes from the SIP extension" in visitor.text
        await visitor.send(add, parameters="tone set: UK\r\nlanguage: 2")
        assert "For whom Plain is" in visitor.text
        await visitor.get("/configuration-profiles/1/edit")
        form = visitor.form("/configuration-profiles/1/edit")
        assert (form["parameters"], form["hot_desking"]) == ("language: 2\ntone set: UK", "on")
        stale = form["version"]
        await visitor.send("/configuration-profiles/1/edit", hot_desking="off")
        await visitor.get("/configuration-profiles/1/edit")
        await visitor.send("/configuration-profiles/1/edit", version=stale)
        assert visitor.page.status_code == 409 and "was changed by somebody else meanwhile" in visitor.text
        await visitor.get("/configuration-profiles")
        await visitor.send("/configuration-profiles/1/copy")
        await visitor.get("/configuration-profiles")
        await visitor.send("/configuration-profiles/1/copy")
        await visitor.get("/configuration-profiles")
        assert "Plain, copy " in visitor.text and "Plain, copy 2" in visitor.text
        await visitor.get("/configuration-profiles/1/delete")
        await visitor.send("/configuration-profiles/1/delete")
        assert "Plain is deleted." in visitor.text
        assert (await visitor.get("/configuration-profiles/1/edit")).status_code == 404
        assert (await visitor.get("/keymap-profiles/2/edit")).status_code == 404


@pytest.mark.parametrize("path", ["/keymap-profiles", "/configuration-profiles"])
async def test_a_read_only_user_sees_profiles_and_changes_nothing(tmp_path: Path, path: str) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite, role=Role.READ_ONLY)
        await visitor.get(path)
        assert "There is no profile yet." in visitor.text and "Add a profile" not in visitor.text
        await visitor.get("/account")
        token = visitor.form("/account")["form_token"]
        assert (await visitor.client.post(f"{path}/add", data={"form_token": token, "name": "x"})).status_code == 403
