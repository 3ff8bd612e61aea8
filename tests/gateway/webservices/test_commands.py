"""`opx gateway web-services`, `consumer` and `token`: stage 4 of the guide without a browser."""

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import TypeVar

import pytest
from typer.testing import CliRunner

from opx.gateway.commands import app
from opx.gateway.webservices.exchange import TokenExchange
from opx.gateway.webservices.repository import WebServicesRepository
from opx.gateway.webservices.settings import WebServicesSettings
from support.gateway_store import repository_in

T = TypeVar("T")

SETTINGS = """\
[set_side]
address = "127.0.10.1"
[icp_side]
address = "127.0.20.1"
"""
ADD = ("consumer", "add", "MiVoice Office Application Suite", "MiVOAppSuite")


class Cli:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "gateway.toml").write_text(SETTINGS)

    def __call__(self, *arguments: str, status: int = 0) -> str:
        environment = {"OPX_GATEWAY_CONFIG": str(self._folder / "gateway.toml")}
        result = CliRunner().invoke(app, arguments, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == status, result.output
        return result.output

    def ask(self) -> None:
        """What a consumer does: ask for access."""

        async def work() -> None:
            repository = repository_in(self._folder)
            kept = WebServicesRepository(repository.engine, repository.sealer, WebServicesSettings())
            (consumer,) = await kept.consumers()
            await TokenExchange(kept).ask(consumer, "10.0.0.10")
            await repository.close()

        asyncio.run(work())

    def trade(self, verifier: str) -> None:
        """And, with the verifier, get it."""

        async def work() -> None:
            repository = repository_in(self._folder)
            kept = WebServicesRepository(repository.engine, repository.sealer, WebServicesSettings())
            (temporary,) = await kept.temporary_tokens()
            await TokenExchange(kept).trade(temporary, verifier, "10.0.0.10")
            await repository.close()

        asyncio.run(work())

    def audited(self) -> list[tuple[str, str]]:
        with sqlite3.connect(self._folder / "gateway.db") as connection:
            return connection.execute("SELECT action, target FROM console_audit ORDER BY id").fetchall()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_stage_4_on_the_command_line(cli: Cli) -> None:
    assert cli("web-services", "start") == "web services are started\n"
    added = cli(*ADD)
    cli.ask()
    listed = cli("token", "list")
    approved = cli("token", "approve", "1")
    found = re.search(r"Verifier: ([A-Z2-9]{16})\n", approved)
    assert found
    shown_again = cli("token", "list")
    cli.trade(found[1])
    status = cli("web-services", "status")
    renewed = cli("token", "renew", "1")
    revoked = cli("token", "revoke", "1")
    after = cli("token", "list")

    guide = "Base/managetoken read-write, MBG/v1/icps read, MBG/v1/devices read-write"
    assert f"consumer MiVOAppSuite: {guide}\n" in added
    assert re.search(r"shared secret \(shown this once\): \S{43}\n", added)
    assert "10.0.0.10" in listed and found[1] not in listed
    assert "MiVoice Office Application Suite, asked for from 10.0.0.10" in approved
    assert found[1] in shown_again
    assert status == "web services are started: 1 consumers, 1 final tokens, 0 requests for access\n"
    assert renewed.startswith("final token 1 of MiVOAppSuite holds until 2")
    assert revoked == "final token 1 of MiVOAppSuite is revoked\n" and "revoked" in after
    assert [action for action, _ in cli.audited()] == [
        "web services started",
        "consumer added",
        "temporary token approved",
        "final token renewed",
        "final token revoked",
    ]


def test_a_consumers_secret_is_shown_once(cli: Cli) -> None:
    secret = cli(*ADD).split()[-1]
    for arguments in (("consumer", "list"), ("consumer", "edit", "MiVOAppSuite", "--inactive"), ("token", "list")):
        assert secret not in cli(*arguments)
    other = cli("consumer", "new-secret", "MiVOAppSuite").split()[-1]
    assert len(other) == 43 and other != secret


def test_permissions_are_given_by_name_and_the_others_stay(cli: Cli) -> None:
    cli(*ADD, "--allow", "MBG/v1/icps=read")
    assert "MBG/v1/icps read" in cli("consumer", "list") and "managetoken" not in cli("consumer", "list")
    edit = ("consumer", "edit", "MiVOAppSuite", "--allow")
    assert "MBG/v1/icps read, OPX/v1/forwards read-write" in cli(*edit, "OPX/v1/forwards=read-write")
    assert "OPX/v1/forwards read-write" in cli(*edit, "MBG/v1/icps=none", "--name", "Other")
    assert "Other" in cli("consumer", "list") and "icps" not in cli("consumer", "list")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((*ADD, "--allow", "MBG/v1/icps"), 2, "is no permission"),
        ((*ADD, "--allow", "MBG/v1/icps=all"), 2, "is no permission"),
        ((*ADD, "--allow", "MBG/v1/phones=read"), 1, "there is no resource 'MBG/v1/phones'"),
        (("consumer", "add", "Name", "a b"), 1, "is no ConsumerID"),
        (("consumer", "remove", "nobody"), 1, "there is no consumer nobody"),
        (("consumer", "edit", "nobody"), 1, "there is no consumer nobody"),
        (("token", "approve", "7"), 1, "this temporary token is gone"),
        (("token", "deny", "7"), 1, "this temporary token is gone"),
        (("token", "renew", "7"), 1, "this token is gone"),
        (("token", "revoke", "7"), 1, "this token is gone"),
    ],
)
def test_what_cannot_be_done_is_said(cli: Cli, arguments: tuple[str, ...], status: int, says: str) -> None:
    assert says in " ".join(cli(*arguments, status=status).split())


def test_a_consumer_goes_with_its_tokens_and_a_request_may_be_denied(cli: Cli) -> None:
    cli(*ADD)
    cli.ask()
    assert cli("token", "deny", "1") == "temporary token 1 is removed\n"
    cli.ask()
    assert cli("consumer", "remove", "MiVOAppSuite") == "consumer MiVOAppSuite is removed\n"
    assert cli("web-services", "stop") == "web services are stopped\n"
    assert cli("web-services", "status").startswith("web services are stopped: 0 consumers, 0 final")
