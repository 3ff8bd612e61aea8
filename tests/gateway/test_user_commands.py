"""`opx gateway user`: a way into the console from the gateway's own machine."""

import asyncio
import re
from pathlib import Path

from typer.testing import CliRunner

from opx.gateway.commands import app
from support.console import PASSWORD, SETTINGS, Visitor, add_user, open_console


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    path = folder / "gateway.toml"
    if not path.exists():
        path.write_text(SETTINGS)
    result = CliRunner().invoke(app, ["user", *arguments, "--config", str(path)])
    assert result.exit_code == status, result.output
    return result.output


def link_in(text: str) -> str:
    found = re.search(r"https://192\.168\.20\.1:8443(/link/\S+)", text)
    assert found, text
    return found[1]


def test_the_first_administrators_link_is_printed_again(tmp_path: Path) -> None:
    assert link_in(run(tmp_path, "link")) != link_in(run(tmp_path, "link"))


def test_a_user_is_added_and_listed(tmp_path: Path) -> None:
    link_in(run(tmp_path, "add", "rea"))
    listed = run(tmp_path, "list")
    assert "rea" in listed and "read-only" in listed and "not chosen yet" in listed
    assert "there is a user rea already" in run(tmp_path, "add", "rea", status=1)


def test_nobody_by_that_name_is_said(tmp_path: Path) -> None:
    assert "there is no user ada" in run(tmp_path, "link", "ada", status=1)


async def test_an_administrator_who_lost_the_password_comes_back_by_a_link(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_user(web, "ada")
        assert "there are users already" in await asyncio.to_thread(run, tmp_path, "link", status=1)
        path = link_in(await asyncio.to_thread(run, tmp_path, "link", "ada"))
        visitor = Visitor(web)
        await visitor.get(path)
        await visitor.send(path, new_password=PASSWORD[::-1], new_password_again=PASSWORD[::-1])
        assert "Dashboard" in visitor.text
        entries, _ = await web.console.audit.entries("made a one-time link", 0, 1)
        assert (entries[0].source, entries[0].target) == ("command line", "ada")
