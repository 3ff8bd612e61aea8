"""The suite makes the gateway agree: its reconciler against the gateway's real web services, in one process."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opx.gateway.webservices.records import Permission
from opx.gateway.webservices.settings import WebServicesSettings
from opx.suite.provisioning.records import ProvisionState
from opx.suite.sites.records import Authorization, GatewaySpec, NodeSpec
from opx.suite.topics import PROVISION_NOW, PROVISIONING
from support.provisioned_site import DONE, ProvisionedSite, provisioned_site
from support.suite_store import PBX_ADDRESS, read
from support.web_services import ADMIN, GUIDE, WebSite, web_site

NUMBERS = ("1001", "1002", "1003", "1004", "1005")
DAY = 86_400.0


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebSite]:
    (tmp_path / "gateway").mkdir()
    with web_site(tmp_path / "gateway", settings=WebServicesSettings(bulk_size=2, page_size=3)) as running:
        yield running


@pytest.fixture
async def site(tmp_path: Path, web: WebSite) -> AsyncIterator[ProvisionedSite]:
    async with provisioned_site(tmp_path, web, numbers=NUMBERS) as opened:
        yield opened


async def ready(site: ProvisionedSite, *ticked: str) -> None:
    """Stages 1, 3 and 4 are done, and these are on the gateway."""
    await site.token()
    site.icp()
    await site.tick(*ticked)
    await site.work()
    await site.assert_agrees(*ticked)


async def test_ticked_extensions_come_onto_the_gateway_in_the_gateways_bounds(site: ProvisionedSite) -> None:
    await ready(site, *NUMBERS)
    state = await site.state("1001")
    assert state and state.owned
    assert "provisioned on the gateway: SIP user tw-" in await site.told("1001")
    assert "5 extensions written in 0 s" in await site.told()
    run = await site.provisioning.kept.run()
    assert (run.total, run.done, run.working, run.reason) == (5, 5, False, "")
    told = {key for topic, keys in site.board.published if topic == PROVISIONING for key in keys}
    assert told == {str(key) for key in site.ids.values()}
    assert sorted(device.description for device in site.devices().values()) == list(NUMBERS)
    versions = {device.version for device in site.devices().values()}
    await site.work(after=site.settings.full_look)
    assert {device.version for device in site.devices().values()} == versions == {1}


@pytest.mark.usefixtures("each_database")
async def test_unticking_removes_what_the_suite_made_also_after_a_restart_and_an_away_gateway(
    site: ProvisionedSite,
) -> None:
    await ready(site, "1001", "1002", "1003")
    await site.tick("1001", on=False)
    await site.work()
    await site.assert_agrees("1002", "1003")
    assert await site.states("1001") == [None]
    assert "removed from the gateway: SIP user tw-" in await site.told("1001")

    site.web.do(site.web.service.stop(ADMIN))
    await site.tick("1002", on=False)
    await site.work()
    assert await site.states("1002") == [ProvisionState.REMOVING]
    # Even the PBX of the extension is gone.
    (pbx,) = await site.sites.pbxs()
    await site.tick("1003", on=False)
    await site.sites.delete_pbx(pbx.id)
    await site.restart()
    await site.work()
    site.web.do(site.web.service.start(ADMIN))
    await site.work(after=60)
    assert site.devices() == {} and await site.provisioning.kept.records() == {}
    assert "1003: removed from the gateway" in await site.told()


async def test_a_sip_user_added_by_hand_is_overwritten_but_not_owned(site: ProvisionedSite) -> None:
    await site.token()
    site.icp()
    mine = site.by_hand("anna-at-home", "1001")
    await site.sites.authorize(site.ids["1002"], Authorization(False, "ben-at-home", "Ben-7-at-Home"))
    site.by_hand("ben-at-home", "ben")
    await site.tick("1001", "1002")
    await site.work()
    await site.assert_agrees("1001", "1002")
    state = await site.state("1001")
    assert state and (state.device_id, state.owned) == (mine.id, False)
    assert site.devices()["1001"].description == "by hand"
    assert "added by hand on the gateway was overwritten" in await site.told("1001")
    assert "added by hand on the gateway was overwritten" in await site.told("1002")

    await site.tick("1001", "1002", on=False)
    await site.work()
    assert set(site.devices()) == {"1001", "1002"}
    left = await site.state("1001")
    assert left and left.state is ProvisionState.LEFT and "remove it there" in left.error
    assert "stays there" in await site.told("1001")
    site.web.do(site.web.repository.delete_device(mine.id))
    await site.work(after=site.settings.full_look)
    assert await site.states("1001", "1002") == [None, ProvisionState.LEFT]
    await site.tick("1002")
    await site.work()
    assert await site.states("1002") == [DONE]


async def test_what_somebody_else_does_on_the_gateway_is_noticed_and_mended(site: ProvisionedSite) -> None:
    await ready(site, "1001", "1002", "1003")
    devices = site.devices()
    site.by_hand(devices["1001"].set_username, "1001", "Another-7secret")
    site.web.do(site.web.repository.delete_device(devices["1002"].id))
    site.web.do(site.web.repository.set_enabled(devices["1003"].set_username, False))
    await site.work(after=site.settings.full_look)
    assert "was changed on the gateway by somebody else, and was overwritten" in await site.told("1001")
    assert "was removed on the gateway by somebody else, and was made anew" in await site.told("1002")
    disabled = await site.state("1003")
    assert disabled and disabled.state is DONE and "disabled on the gateway" in disabled.error
    assert not site.devices()["1003"].enabled
    site.web.do(site.web.repository.set_enabled(devices["1003"].set_username, True))
    await site.work(after=site.settings.full_look)
    await site.assert_agrees("1001", "1002", "1003")


async def test_a_look_that_is_asked_for_while_the_suite_is_at_work_comes_afterwards(site: ProvisionedSite) -> None:
    await ready(site, "1001")
    device = site.devices()["1001"]
    site.by_hand(device.set_username, "1001", "Another-7secret")
    asked = [PROVISION_NOW]
    site.board.subscribe(PROVISIONING, lambda keys: site.board.publish(asked.pop()) if asked else None)
    await site.tick("1002")
    await site.work()
    assert not asked and site.devices()["1001"].icp_password == "Another-7secret"
    await site.work()
    await site.assert_agrees("1001", "1002")


async def test_changed_credentials_are_written_and_two_writers_at_once_do_no_harm(site: ProvisionedSite) -> None:
    await ready(site, "1001", "1002")
    (pbx,) = await site.sites.pbxs()
    await site.sites.take_over(pbx.id, [read("1001", "new-Secret-1"), read("1002")], 1.0)
    # Since its last look somebody has written the same device, and added another one of the number.
    site.by_hand(site.devices()["1001"].set_username, "1001", "Another-7secret")
    site.web.do(site.web.repository.delete_device(site.devices()["1002"].id))
    site.by_hand("somebody", "1002")
    await site.changed("1001")
    await site.sites.authorize(site.ids["1002"], Authorization(True, remote_password="new-Remote-7secret"))
    await site.changed("1002")
    await site.work()
    await site.assert_agrees("1001", "1002")


async def test_stages_out_of_order_heal_by_themselves(site: ProvisionedSite) -> None:
    await site.tick("1001", "1002")
    await site.work()
    assert await site.states("1001") == [ProvisionState.BY_HAND]
    assert await site.told() == ""
    await site.sites.gateway.save(GatewaySpec("127.0.0.1", site.web.server.port, rest_api=True))
    await site.note_settings()
    await site.work()
    run = await site.provisioning.kept.run()
    assert run.reason == "not-pinned" and "not trusted yet" in run.trouble
    await site.token()
    await site.work()
    run = await site.provisioning.kept.run()
    assert (run.reason, run.trouble) == ("", "")
    waiting = await site.state("1001")
    assert waiting and waiting.error == f"the gateway has no ICP with Hostname or IP Address {PBX_ADDRESS}"
    assert await site.states("1001") == [ProvisionState.FAILED]
    # Somebody has typed another address there.
    icp = site.icp("192.168.20.99")
    assert await site.work(after=site.settings.icp_look) == site.settings.icp_look
    assert await site.states("1001") == [ProvisionState.FAILED]
    site.web.do(site.web.repository.delete_icp(icp))
    site.icp()
    await site.work(after=site.settings.icp_look)
    await site.assert_agrees("1001", "1002")
    # And here: the node has moved away from its ICP.
    (node,) = await site.sites.nodes()
    await site.sites.save_node(NodeSpec(node.pbx_id, node.name, "192.168.20.77"), node.id)
    await site.note_settings()
    await site.work()
    moved = await site.state("1001")
    assert moved and moved.state is ProvisionState.FAILED and "192.168.20.77" in moved.error
    assert moved.device_id is not None
    site.icp("192.168.20.77", "Node 2")
    await site.work(after=site.settings.icp_look)
    await site.assert_agrees("1001", "1002")


async def test_a_refused_extension_says_why_and_waits_longer_and_longer_while_the_others_go_on(
    site: ProvisionedSite,
) -> None:
    await site.token()
    site.icp()
    await site.sites.authorize(site.ids["1001"], Authorization(True, "anna", "anna1"))
    await site.tick("1002")
    await site.changed("1001")
    wait = await site.work()
    assert await site.states("1001", "1002") == [ProvisionState.FAILED, DONE]
    refused = await site.state("1001")
    assert refused and refused.tries == 1 and "remote authorization password" in refused.error
    assert "anna1" not in refused.error and 22 < wait <= 30
    assert (await site.work(after=wait)) > 40
    again = await site.state("1001")
    assert again and again.tries == 2
    assert (await site.told("1001")).count("remote authorization password") == 1
    await site.sites.authorize(site.ids["1001"], Authorization(True, remote_password="Much-longer-7"))
    site.board.publish(PROVISION_NOW)
    await site.work()
    await site.assert_agrees("1001", "1002")


async def test_a_token_revoked_in_the_middle_stops_the_work_and_a_new_one_ends_it(site: ProvisionedSite) -> None:
    await site.token()
    site.icp()
    await site.tick(*NUMBERS)
    (token,) = site.web.do(site.web.service.final_tokens())
    site.web.control.changed = once_then(site, lambda: site.web.service.revoke(ADMIN, token.id))  # type: ignore[method-assign]
    await site.work()
    assert len(site.devices()) == 2
    states = await site.states(*NUMBERS)
    assert states.count(DONE) == 2 and states.count(ProvisionState.PENDING) == 3
    run = await site.provisioning.kept.run()
    assert run.reason == "token-ended" and "press Request Access Token" in run.trouble and not run.working
    assert "nothing is written: " in await site.told()
    assert await site.work(after=1) > 200
    await site.token(fresh=False)
    await site.work()
    await site.assert_agrees(*NUMBERS)
    assert "the gateway can be asked again" in await site.told()


def once_then(site: ProvisionedSite, act):  # type: ignore[no-untyped-def]
    """What signalling does when it is told of a change: something happens the first time."""
    left = [act]

    async def changed() -> None:
        if left:
            await left.pop()()

    return changed


async def test_a_gateway_that_is_away_is_tried_less_and_less_often_and_all_is_made_up_for(
    site: ProvisionedSite,
) -> None:
    await ready(site, "1001")
    site.web.do(site.web.service.stop(ADMIN))
    await site.tick("1002")
    waits = [await site.work()]
    while sum(waits) < 3600:
        waits.append(await site.work(after=waits[-1]))
    assert waits[0] <= 2 and max(waits) > 200 and len(waits) < 30
    run = await site.provisioning.kept.run()
    assert run.reason == "stopped" and run.next_try == pytest.approx(site.now + waits[-1])
    assert (await site.told()).count("nothing is written") == 1
    site.web.do(site.web.service.start(ADMIN))
    await site.work(after=waits[-1])
    await site.assert_agrees("1001", "1002")


async def test_another_certificate_stops_everything_until_it_is_trusted(site: ProvisionedSite) -> None:
    await ready(site, "1001")
    right = (await site.sites.gateway.read()).fingerprint
    await site.sites.gateway.pin("cd" * 32)
    await site.tick("1002")
    await site.note_settings()
    await site.work()
    assert set(site.devices()) == {"1001"}
    assert (await site.provisioning.kept.run()).reason == "certificate-changed"
    assert (await site.sites.gateway.read()).offered_fingerprint == right
    await site.sites.gateway.pin(right)
    await site.note_settings()
    await site.work()
    await site.assert_agrees("1001", "1002")


async def test_without_write_permission_the_reason_is_said(site: ProvisionedSite) -> None:
    await site.token(replace(GUIDE, permissions={**GUIDE.permissions, "MBG/v1/devices": Permission.READ}))
    site.icp()
    await site.tick("1001")
    await site.work()
    run = await site.provisioning.kept.run()
    assert run.reason == "not-permitted" and "MBG/v1/devices" in run.trouble


async def test_provisioning_that_is_switched_off_says_so_and_does_nothing(site: ProvisionedSite) -> None:
    await ready(site, "1001")
    gateway = await site.sites.gateway.read()
    await site.sites.gateway.save(GatewaySpec(gateway.address, gateway.port, rest_api=False))
    await site.tick("1001", on=False)
    await site.tick("1002")
    await site.note_settings()
    await site.work()
    assert set(site.devices()) == {"1001"}
    assert await site.states("1001", "1002") == [ProvisionState.REMOVING, ProvisionState.BY_HAND]
    run = await site.provisioning.kept.run()
    assert run.reason == "off" and "Enable Rest API is not checked" in run.trouble
    assert "Enable Rest API is not checked" in await site.told()


# --- the token


async def test_the_token_renews_itself_sixty_days_before_its_end(site: ProvisionedSite) -> None:
    site.now = site.web.clock() + DAY / 2
    await ready(site, "1001")
    before = (await site.sites.gateway.read()).token_until
    assert before
    site.now += 304 * DAY
    await site.work()
    assert (await site.sites.gateway.read()).token_until == before
    site.web.clock.shift = 50.0
    site.now += 2 * DAY
    await site.work()
    after = (await site.sites.gateway.read()).token_until
    assert after and after >= before + 49
    assert "the access token was renewed" in await site.told()


async def test_where_the_token_may_not_be_renewed_its_end_is_told_well_before(site: ProvisionedSite) -> None:
    site.now = site.web.clock() + DAY / 2
    await site.token(replace(GUIDE, permissions={**GUIDE.permissions, "Base/managetoken": Permission.NONE}))
    await site.work()
    assert (await site.provisioning.kept.run()).token_note == ""
    for days in (306, 10, 20, 10):
        site.now += days * DAY
        await site.work()
    told = await site.told()
    assert told.count("the access token ends in") == 2
    note = (await site.provisioning.kept.run()).token_note
    assert note.startswith("the access token ends in 18 days, and the suite has no Read/Write permission")
    # An administrator has pressed Renew: the gateway may not tell the suite, but a new exchange does.
    await site.token(fresh=False)
    await site.work()


# --- a suite that is killed


async def test_a_suite_killed_after_the_gateways_answer_was_lost_owns_what_it_made(site: ProvisionedSite) -> None:
    await site.token()
    site.icp()
    await site.tick("1001", "1002", "1003")

    class Killed(BaseException):
        """As SIGKILL: nothing is cleaned up."""

    async def kill() -> None:
        raise Killed

    site.provisioning.reconciler._settle = lambda *args: kill()  # type: ignore[method-assign,assignment]
    with pytest.raises(Killed):
        await site.work()
    assert len(site.devices()) == 2
    await site.restart()
    await site.tick("1002", on=False)
    await site.work()
    await site.assert_agrees("1001", "1003")
    for number in ("1001", "1003"):
        state = await site.state(number)
        assert state and state.owned
