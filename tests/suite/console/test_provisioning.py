"""Phone Systems > Provisioning: the state as a whole, what is in the way, and Try again now."""

from dataclasses import replace
from pathlib import Path

from opx.suite.console.service import ConsoleService
from opx.suite.provisioning.concerns import concerns
from opx.suite.provisioning.records import Provisioned, ProvisionState, Run
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.sites.records import GatewaySpec
from opx.suite.timeline import GATEWAY, Entry, Kind, Timeline
from opx.suite.topics import PROVISION_NOW
from opx.web.accounts import Role
from support.console import signed_in
from support.suite_console import open_suite_console
from support.suite_store import with_pbx

PAGE = "/provisioning"
NO_ICP = "the gateway has no ICP with Hostname or IP Address 192.168.20.20"


async def filled(suite: ConsoleService) -> list[int]:
    """1001 is on the gateway, 1002 has failed, 1003 is left there, 1004 is ticked; 1099 is gone and to be removed."""
    await suite.sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=True))
    await with_pbx(suite.sites, "1001", "1002", "1003", "1004")
    ids = [extension.id for extension in (await suite.sites.extensions())[0]]
    await suite.sites.tick([ids[0], ids[1], ids[3]], True)
    failed = Provisioned(ids[1], "1002", ProvisionState.FAILED, NO_ICP, 2, 1_900_000_000.0)
    rows = [
        Provisioned(ids[0], "1001", ProvisionState.PROVISIONED, device_id=71, owned=True),
        failed,
        Provisioned(ids[2], "1003", ProvisionState.LEFT, "added by hand", device_id=73),
        Provisioned(999, "1099", ProvisionState.PROVISIONED, device_id=99, owned=True),
    ]
    async with suite.sites.engine.begin() as connection:
        await ProvisioningRepository(suite.sites.engine).save_in(connection, rows)
    return ids


async def test_the_page_says_how_far_the_gateway_agrees_and_why_not(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await filled(suite)
        await Timeline(suite.sites.engine).note([Entry(GATEWAY, 1.0, Kind.WARNING, "something was done by hand")])
        visitor = await signed_in(suite)
        await visitor.get(PAGE)
        assert f'<a href="{PAGE}" aria-current="page">Provisioning</a>' in visitor.html
        for text in (
            "On the gateway 1 extension",
            f"1002 Not on the gateway as wanted {NO_ICP}",
            "after 2 tries",
            "1099 gone Waiting to be removed",
            "1003 Left on the gateway added by hand 73",
            "Waiting to be written 1 extension",
            "something was done by hand",
        ):
            assert text in visitor.text, text
        await visitor.get(f"{PAGE}?state=failed&q=ICP")
        assert "1002" in visitor.text and "1099" not in visitor.text
        await visitor.get(f"{PAGE}?q=nothing+like+that")
        assert "No extension is like that." in visitor.text


async def test_work_trouble_and_the_token_are_told(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await filled(suite)
        visitor = await signed_in(suite)
        kept = ProvisioningRepository(suite.sites.engine)
        await kept.save_run(Run(total=5000, done=1200, started_at=1.0))
        await visitor.get(PAGE)
        assert "The gateway is being written: 1200 of 5 000 extensions" in visitor.text
        assert '<progress max="5000" value="1200">' in visitor.html
        stopped = Run("token-ended", "this token was revoked", 1.0, 2.0, token_note="the access token ends in 9 days")
        await kept.save_run(stopped)
        await visitor.get(PAGE)
        assert "Nothing is provisioned since" in visitor.text and ": this token was revoked." in visitor.text
        assert "The access token ends in 9 days." in visitor.text
        await suite.sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=False))
        await visitor.get(PAGE)
        assert "kept by hand" in visitor.text and "Try again now" not in visitor.text
        assert NO_ICP not in visitor.text and "1099" in visitor.text


async def test_try_again_now_asks_for_all_or_for_one_and_only_for_who_may(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        ids = await filled(suite)
        told: list[tuple[str, ...]] = []
        suite.bulletin.subscribe(PROVISION_NOW, told.append)
        visitor = await signed_in(suite)
        await visitor.get(PAGE)
        await visitor.send(f"{PAGE}/now")
        assert "The gateway is asked now." in visitor.text
        await visitor.post(f"{PAGE}/now", extension=str(ids[1]))
        assert told == [(), (str(ids[1]),)]
        entries, _ = await suite.console.audit.entries("", 0, 10)
        assert [entry.action for entry in entries].count("provisioning tried again") == 2
        onlooker = await signed_in(suite, "bob", Role.READ_ONLY)
        await onlooker.get(PAGE)
        assert "Try again now" not in onlooker.text


def test_the_first_page_hears_of_what_needs_somebody() -> None:
    run = Run("token-ended", "the token was revoked", token_note="the access token ends in 9 days")
    counts = {ProvisionState.FAILED: 2, ProvisionState.PROVISIONED: 5}
    found = concerns(run, counts, True)
    assert [(one.kind, one.text, one.path) for one in found] == [
        ("bad", "Nothing is provisioned: the token was revoked.", "/border-gateway"),
        ("bad", "2 extensions are not on the gateway as wanted.", PAGE),
        ("warn", "The access token ends in 9 days.", "/border-gateway"),
    ]
    assert concerns(replace(run, reason="unreachable"), {}, True)[0].kind == "warn"
    assert concerns(run, counts, False) == [] and concerns(Run(), {}, True) == []
