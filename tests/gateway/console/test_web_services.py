"""Administration > Web services (guide, stage 4)."""

import re
import time
from pathlib import Path

import httpx
from oauthlib.oauth1 import Client

from opx.gateway.web.service import WebService
from opx.gateway.webservices.exchange import TokenExchange
from opx.gateway.webservices.records import DEVICES, ICPS, MANAGE_TOKEN, Actor, ConsumerSpec, Permission
from opx.web.accounts import Role
from support.console import Visitor, open_console, signed_in

NAME, CONSUMER_ID = "MiVoice Office Application Suite", "MiVOAppSuite"
BY = Actor("somebody", "192.168.20.50")


async def add_consumer(visitor: Visitor, **values: str) -> str:
    """As the guide says; the shared secret."""
    await visitor.get("/web-services/consumers/add")
    await visitor.send("/web-services/consumers/add", **{"name": NAME, "consumer_id": CONSUMER_ID, **values})
    shown = re.search(r"<code data-copy>(.+?)</code>", visitor.html)
    return shown[1] if shown else ""


async def ask(web: WebService) -> None:
    """A consumer's request for a temporary token."""
    (consumer,) = await web.web_services.consumers()
    await TokenExchange(web.web_services.repository).ask(consumer, "192.168.20.10")


async def trade(web: WebService) -> None:
    """The consumer's way back with the verifier."""
    (temporary,) = await web.web_services.temporary_tokens()
    assert temporary.verifier
    await TokenExchange(web.web_services.repository).trade(temporary, temporary.verifier, "192.168.20.10")


async def test_start_and_stop(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/web-services")
        assert "stopped: nobody is answered" in visitor.text
        await visitor.send("/web-services/start")
        assert await web.web_services.started()
        assert "Web services are started." in visitor.text
        await visitor.send("/web-services/stop")
        assert not await web.web_services.started()


async def test_a_new_consumer_begins_with_the_guides_permissions_and_its_secret_is_shown_once(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        secret = await add_consumer(visitor)
        assert len(secret) >= 20
        (consumer,) = await web.web_services.consumers()
        assert (consumer.name, consumer.consumer_id, consumer.active) == (NAME, CONSUMER_ID, True)
        given = {name: value for name, value in consumer.permissions.items() if value is not Permission.NONE}
        assert given == {
            MANAGE_TOKEN: Permission.READ_WRITE,
            ICPS: Permission.READ,
            DEVICES: Permission.READ_WRITE,
        }
        for path in ("/web-services", "/web-services/consumers/1", "/audit-log"):
            await visitor.get(path)
            assert secret not in visitor.html, path
        assert "consumer added" in visitor.text


async def test_mistakes_are_named_at_their_fields(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add_consumer(visitor)
        for values, field in (
            ({"name": " "}, "name"),
            ({"consumer_id": "with blanks"}, "consumer_id"),
            ({"consumer_id": CONSUMER_ID}, "consumer_id"),
            ({"consumer_id": "other", "permission-0": "everything"}, "permission-0"),
        ):
            await add_consumer(visitor, **values)
            assert visitor.page.status_code == 422, values
            assert f'id="e-{field}"' in visitor.html, values
        assert len(await web.web_services.consumers()) == 1


async def test_a_request_is_approved_and_its_verifier_shown_to_administrators_only(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add_consumer(visitor)
        await ask(web)
        await visitor.get("/web-services")
        assert "not approved yet" in visitor.text and "192.168.20.10" in visitor.text
        await visitor.send("/web-services/temporary/1/approve")
        (temporary,) = await web.web_services.temporary_tokens()
        assert temporary.verifier and temporary.verifier in visitor.text
        assert temporary.token not in visitor.html
        reader = await signed_in(web, "rea", Role.READ_ONLY)
        await reader.get("/web-services")
        assert "approved" in reader.text and temporary.verifier not in reader.html
        await trade(web)
        await visitor.get("/web-services")
        assert temporary.verifier not in visitor.html and "No request waits." in visitor.text
        assert "holds" in visitor.text
        entries, _ = await web.console.audit.entries("approved", 0, 1)
        assert entries[0].user == "ada" and temporary.verifier not in str(entries)


async def test_a_final_token_is_renewed_and_revoked(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add_consumer(visitor)
        await ask(web)
        await web.web_services.approve(BY, 1)
        await trade(web)
        (token,) = await web.web_services.final_tokens()
        assert 364 * 86400 < token.expires_at - time.time() < 367 * 86400
        await visitor.get("/web-services")
        await visitor.send("/web-services/final/1/renew")
        assert "The token is renewed." in visitor.text
        assert (await web.web_services.final_tokens())[0].expires_at >= token.expires_at
        await visitor.get("/web-services/final/1/revoke")
        await visitor.send("/web-services/final/1/revoke")
        assert "revoked" in visitor.text
        assert (await web.web_services.final_tokens())[0].revoked
        await visitor.get("/web-services")
        assert "/web-services/final/1/renew" not in visitor.html


async def test_what_is_gone_is_said(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add_consumer(visitor)
        await ask(web)
        await visitor.get("/web-services")
        await web.web_services.deny(BY, 1)
        await visitor.send("/web-services/temporary/1/approve")
        assert 'class="note bad"' in visitor.html
        for path in ("/web-services/consumers/9", "/web-services/consumers/9/remove", "/web-services/final/9/revoke"):
            assert (await visitor.get(path)).status_code == 404


async def test_two_writers_do_not_overwrite_a_consumer_unseen(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await add_consumer(visitor)
        await visitor.get("/web-services/consumers/1")
        (consumer,) = await web.web_services.consumers()
        changed = ConsumerSpec(NAME, CONSUMER_ID, {ICPS: Permission.READ}, active=False)
        await web.web_services.change_consumer(BY, 1, changed, consumer.version)
        page = await visitor.send("/web-services/consumers/1", name="Suite")
        assert page.status_code == 409
        assert f"Name {NAME} Suite" in visitor.text and "Active no yes" in visitor.text
        await visitor.send("/web-services/consumers/1")
        assert (await web.web_services.consumers())[0].name == "Suite"


async def test_a_new_secret_replaces_the_old_one(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        first = await add_consumer(visitor)
        await visitor.get("/web-services")
        await visitor.send("/web-services/consumers/1/secret")
        shown = re.search(r"<code data-copy>(.+?)</code>", visitor.html)
        assert shown and shown[1] != first


async def test_a_read_only_user_changes_nothing(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await add_consumer(await signed_in(web))
        await ask(web)
        reader = await signed_in(web, "rea", Role.READ_ONLY)
        await reader.get("/web-services")
        assert "Approve" not in reader.text and "Add a new consumer" not in reader.text
        token = reader.form("/sign-out")["form_token"]
        for path in ("start", "consumers/add", "consumers/1", "consumers/1/secret", "temporary/1/approve"):
            answer = await reader.client.post(f"/web-services/{path}", data={"form_token": token})
            assert answer.status_code == 403, path


async def test_who_was_refused_is_shown_with_the_reason(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/web-services")
        assert "Refused requests" not in visitor.text
        await visitor.send("/web-services/start")
        transport = httpx.ASGITransport(web.app, client=("192.168.20.66", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://gateway") as stranger:
            url = "https://gateway/webservices/Base/server"
            _, headers, _ = Client("<b>Nobody</b>", "x", "y", "z").sign(url)
            answer = await stranger.get(url, headers=headers)
        await visitor.get("/web-services")
    assert (answer.status_code, answer.content) == (401, b"")
    assert "Refused requests" in visitor.text
    for text in ("192.168.20.66", "no consumer has this ConsumerID", "<b>Nobody</b>"):
        assert text in visitor.text
    assert "<b>Nobody" not in visitor.html
