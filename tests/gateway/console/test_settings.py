"""MiVoice Border Gateway > System configuration > Settings: a form over the settings file."""

from pathlib import Path

import pytest

from opx.config import SettingsFile
from opx.gateway.console.settings import write
from opx.gateway.console.settings_fields import FIELDS
from opx.gateway.live_settings import LIVE, CannotTake, at_once, differing, value_at
from opx.gateway.settings import GatewaySettings
from opx.web.accounts import Role
from support.console import SETTINGS, open_console, signed_in


def settings_of(text: str) -> GatewaySettings:
    return SettingsFile(Path("/x/gateway.toml"), text).settings(GatewaySettings)


async def test_a_change_is_written_to_the_file_and_everything_else_stays(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/settings")
        await visitor.send("/settings", **{"limits.licences": "50", "set_side.port": "5070"})
        assert "The settings are saved." in visitor.text
        text = (tmp_path / "gateway.toml").read_text()
        assert text == SETTINGS.replace("line\n", "line\nport = 5070\n") + "\n[limits]\nlicences = 50\n"
        assert (tmp_path / "gateway.toml.before").read_text() == SETTINGS
        entries, _ = await web.console.audit.entries("settings", 0, 1)
        assert entries[0].detail == "set_side.port 5060 to 5070; limits.licences nothing to 50"


async def test_what_waits_for_the_next_start_is_named_until_then_and_what_does_not_wait_is_not(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/settings")
        await visitor.send("/settings", **{"limits.licences": "50", "set_side.port": "5070"})
        assert "set_side.port is 5060, will be 5070" in visitor.text
        assert "limits.licences is" not in visitor.text
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web, "bob")
        await visitor.get("/settings")
        assert "next start:" not in visitor.text
        assert visitor.form("/settings")["set_side.port"] == "5070"


async def test_a_form_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/settings")
        await visitor.send("/settings")
        assert "Nothing was changed." in visitor.text
        assert (tmp_path / "gateway.toml").read_text() == SETTINGS
        assert not (tmp_path / "gateway.toml.before").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("set_side.address", "0.0.0.0", "a wildcard address"),
        ("set_side.address", "gateway.example", "is no address"),
        ("icp_side.address", "203.0.113.11", "is in one network with set_side"),
        ("set_side.port", "99999", "less than or equal to 65535"),
        ("set_side.port", "sip", "is no whole number"),
        ("set_side.transports", "UDP, TLS", "'UDP' or 'TCP'"),
        ("set_side.dscp", "64", "less than or equal to 63"),
        ("registration.set_max_expires", "10", "is below set_default_expires"),
        ("keep_alive.interval", "often", "is no number"),
        ("keep_alive.interval", "nan", "finite"),
        ("limits.emergency_numbers", "112, one", "'one' is no number"),
        ("media.rtp_ports-first", "20001", "is no range"),
        ("media.rtp_ports-last", "", "whole number"),
    ],
)
async def test_a_mistake_is_named_and_nothing_is_written(tmp_path: Path, name: str, value: str, said: str) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/settings")
        page = await visitor.send("/settings", **{name: value})
        assert page.status_code == 422
        assert said in visitor.text
        if value:
            assert visitor.form("/settings")[name] == value
        assert (tmp_path / "gateway.toml").read_text() == SETTINGS


async def test_a_file_that_was_edited_meanwhile_is_not_overwritten_unseen(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/settings")
        edited = SETTINGS + "\n[limits]\nlicences = 20 # by hand\n"
        (tmp_path / "gateway.toml").write_text(edited)
        page = await visitor.send("/settings", **{"limits.licences": "50"})
        assert (page.status_code, "Teleworker licences 20 50" in visitor.text) == (409, True)
        assert (tmp_path / "gateway.toml").read_text() == edited
        await visitor.send("/settings")
        assert (tmp_path / "gateway.toml").read_text() == edited.replace("= 20", "= 50")


def test_a_file_that_changes_between_reading_and_writing_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(SETTINGS)
    before = SettingsFile.read(path)
    path.write_text(SETTINGS + "# by hand\n")
    assert not write(before, SETTINGS + "# from a form\n")
    assert path.read_text() == SETTINGS + "# by hand\n"
    assert write(SettingsFile.read(path), SETTINGS)
    assert path.read_text() == SETTINGS


async def test_a_file_with_a_mistake_is_shown_with_its_place_and_cannot_be_saved_over(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        broken = SETTINGS + "port = 'x'\n"
        (tmp_path / "gateway.toml").write_text(broken)
        await visitor.get("/settings")
        assert "gateway.toml:7: icp_side.port: is not allowed" in visitor.text
        assert "Save" not in visitor.text
        page = await visitor.post("/settings", version="x", **{"limits.licences": "50"})
        assert page.status_code == 409
        assert (tmp_path / "gateway.toml").read_text() == broken


async def test_a_read_only_user_looks_at_the_settings(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web, role=Role.READ_ONLY)
        await visitor.get("/settings")
        assert "203.0.113.10" in visitor.html and '<fieldset class="bare" disabled>' in visitor.html
        assert (await visitor.post("/settings", **{"limits.licences": "50"})).status_code == 403


async def test_the_file_keeps_its_mode(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        (tmp_path / "gateway.toml").chmod(0o640)
        visitor = await signed_in(web)
        await visitor.get("/settings")
        await visitor.send("/settings", **{"limits.licences": "50"})
        assert (tmp_path / "gateway.toml").stat().st_mode & 0o777 == 0o640
        written = sorted(path.name for path in tmp_path.iterdir() if "toml" in path.name)
        assert written == ["gateway.toml", "gateway.toml.before"]


def test_every_field_of_the_form_is_a_setting() -> None:
    settings = settings_of(SETTINGS)
    for field in FIELDS:
        value_at(settings, field.path)
    assert {field.path for field in FIELDS} >= LIVE - {("limits", "retry_after")}


def test_only_what_changes_at_once_is_taken_over() -> None:
    running = settings_of(SETTINGS)
    wanted = settings_of(SETTINGS + "port = 5080\n[limits]\nlicences = 5\n[media]\ndscp = 0\n")
    assert set(differing(running, at_once(running, wanted))) == {("limits", "licences")}


def test_what_does_not_go_with_what_is_running_waits() -> None:
    running = settings_of(SETTINGS + "[registration]\nicp_expires = 400\n")
    wanted = settings_of(SETTINGS + "[registration]\nicp_expires = 3600\nset_max_expires = 900\n")
    with pytest.raises(CannotTake, match="nothing changes before the next start"):
        at_once(running, wanted)
