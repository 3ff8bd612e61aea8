"""What an administrator does with consumers and tokens, and that the tables hold on each kind of database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from opx.gateway.webservices.exchange import Once, TokenExchange, TokenKind, Verdict
from opx.gateway.webservices.records import (
    DEVICES,
    ICPS,
    RESOURCES,
    Outdated,
    Permission,
    Unknown,
    WebServicesError,
)
from opx.gateway.webservices.repository import WebServicesRepository
from opx.gateway.webservices.service import WebServices
from opx.gateway.webservices.settings import WebServicesSettings
from support.gateway_store import opened, repository_in, stored_bytes
from support.web_services import ADMIN, GUIDE, Audited

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[WebServices]:
    async with opened(tmp_path) as repository:
        kept = WebServicesRepository(repository.engine, repository.sealer, WebServicesSettings())
        yield WebServices(kept, Audited())


async def token(service: WebServices) -> int:
    """A final token of the guide's consumer; its id."""
    exchange = TokenExchange(service.repository)
    consumer, _ = await service.add_consumer(ADMIN, GUIDE)
    await exchange.ask(consumer, "10.0.0.10")
    (waiting,) = await service.temporary_tokens()
    approved = await service.approve(ADMIN, waiting.id)
    await exchange.trade(approved, str(approved.verifier), "10.0.0.10")
    return (await service.final_tokens())[0].id


async def test_web_services_are_stopped_until_somebody_starts_them(service: WebServices) -> None:
    seen = [await service.started()]
    for switch in (service.start, service.start, service.stop):
        await switch(ADMIN)
        seen.append(await service.started())
    assert seen == [False, True, True, False]


async def test_a_consumer_is_kept_with_its_permissions(service: WebServices) -> None:
    made, secret = await service.add_consumer(ADMIN, GUIDE)
    assert len(secret) == 43
    assert [await service.consumer(made.id)] == await service.consumers() == [made]
    assert set(made.permissions) == set(RESOURCES)
    assert {name for name, value in made.permissions.items() if value is not Permission.NONE} == set(GUIDE.permissions)
    assert made.may(DEVICES, Permission.READ_WRITE) and made.may(ICPS, Permission.READ)
    assert not made.may(ICPS, Permission.READ_WRITE) and not made.may("OPX/v1/forwards", Permission.READ)


async def test_a_consumer_may_be_allowed_nothing(service: WebServices) -> None:
    made, _ = await service.add_consumer(ADMIN, replace(GUIDE, permissions={}))
    changed = await service.change_consumer(ADMIN, made.id, replace(GUIDE, permissions={}, active=False), 1)
    assert set(changed.permissions.values()) == {Permission.NONE} and not changed.active


async def test_a_change_of_a_consumer_from_an_old_version_is_refused(service: WebServices) -> None:
    made, _ = await service.add_consumer(ADMIN, GUIDE)
    fewer = replace(GUIDE, permissions={ICPS: Permission.READ_WRITE})
    changed = await service.change_consumer(ADMIN, made.id, fewer, made.version)
    assert changed.version == made.version + 1 and not changed.may(DEVICES, Permission.READ)
    with pytest.raises(Outdated, match="was changed meanwhile"):
        await service.change_consumer(ADMIN, made.id, GUIDE, made.version)
    assert await service.consumer(made.id) == changed


async def test_a_new_consumer_id_keeps_the_secret_and_a_new_secret_the_tokens(service: WebServices) -> None:
    await token(service)
    (consumer,) = await service.consumers()
    exchange = TokenExchange(service.repository)
    before = await exchange.signer("MiVOAppSuite", "", TokenKind.NONE)
    await service.change_consumer(ADMIN, consumer.id, replace(GUIDE, consumer_id="Suite-2"), consumer.version)
    after = await exchange.signer("Suite-2", "", TokenKind.NONE)
    gone = await exchange.signer("MiVOAppSuite", "", TokenKind.NONE)
    _, secret = await service.new_secret(ADMIN, consumer.id)
    renewed = await exchange.signer("Suite-2", "", TokenKind.NONE)

    assert after.client_secret == before.client_secret and after.genuine
    assert not gone.genuine and gone.client_secret not in (before.client_secret, "")
    assert renewed.client_secret == secret != before.client_secret
    assert len(await service.final_tokens()) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"consumer_id": ""}, "consumer_id"),
        ({"consumer_id": "a b"}, "consumer_id"),
        ({"permissions": {"MBG/v1/phones": Permission.READ}}, "permissions"),
    ],
)
async def test_what_is_no_consumer_is_refused(service: WebServices, change: dict[str, object], field: str) -> None:
    with pytest.raises(WebServicesError) as refused:
        await service.add_consumer(ADMIN, replace(GUIDE, **change))  # type: ignore[arg-type]
    assert refused.value.field == field


async def test_a_consumer_id_is_there_once(service: WebServices) -> None:
    await service.add_consumer(ADMIN, GUIDE)
    other, _ = await service.add_consumer(ADMIN, replace(GUIDE, consumer_id="other"))
    for refused in (
        service.add_consumer(ADMIN, replace(GUIDE, name="Second")),
        service.change_consumer(ADMIN, other.id, GUIDE, other.version),
    ):
        with pytest.raises(WebServicesError, match="has the ConsumerID MiVOAppSuite already"):
            await refused


async def test_a_removed_consumer_takes_all_of_its_own_with_it(service: WebServices) -> None:
    key = await token(service)
    (consumer,) = await service.consumers()
    await TokenExchange(service.repository).ask(consumer, "10.0.0.10")
    await TokenExchange(service.repository).take_once(b"x" * 32, consumer, 1.0)
    await service.remove_consumer(ADMIN, consumer.id)
    assert (await service.consumers(), await service.temporary_tokens(), await service.final_tokens()) == ([], [], [])
    for gone in (service.renew(ADMIN, key), service.revoke(ADMIN, key), service.consumer(consumer.id)):
        with pytest.raises(Unknown):
            await gone


async def test_a_request_for_access_is_approved_once_or_denied(service: WebServices) -> None:
    exchange = TokenExchange(service.repository)
    consumer, _ = await service.add_consumer(ADMIN, GUIDE)
    await exchange.ask(consumer, "10.0.0.10")
    (waiting,) = await service.temporary_tokens()
    first, again = [await service.approve(ADMIN, waiting.id) for _ in range(2)]
    assert first.verifier and first.verifier == again.verifier
    await service.deny(ADMIN, waiting.id)
    assert await service.temporary_tokens() == []
    for gone in (service.approve(ADMIN, waiting.id), service.deny(ADMIN, waiting.id)):
        with pytest.raises(Unknown):
            await gone


async def test_all_that_changes_is_in_the_audit_log_and_no_secret_is(service: WebServices) -> None:
    audit = service._audit
    assert isinstance(audit, Audited)
    key = await token(service)
    (consumer,) = await service.consumers()
    await service.renew(ADMIN, key)
    await service.revoke(ADMIN, key)
    _, secret = await service.new_secret(ADMIN, consumer.id)
    await service.remove_consumer(ADMIN, consumer.id)
    assert audit.actions == [
        "consumer added",
        "temporary token approved",
        "final token renewed",
        "final token revoked",
        "consumer given a new secret",
        "consumer removed",
    ]
    assert {entry[:2] for entry in audit.entries} == {("admin", "10.0.0.9")}
    assert secret not in str(audit.entries)


async def test_no_secret_and_no_verifier_can_be_read_from_the_database(tmp_path: Path, service: WebServices) -> None:
    exchange = TokenExchange(service.repository)
    consumer, secret = await service.add_consumer(ADMIN, GUIDE)
    asked = await exchange.ask(consumer, "10.0.0.10")
    (waiting,) = await service.temporary_tokens()
    approved = await service.approve(ADMIN, waiting.id)
    verdict, given = await exchange.trade(approved, str(approved.verifier), "10.0.0.10")
    assert verdict is Verdict.RIGHT and given is not None
    data = stored_bytes(tmp_path)
    assert b"MiVOAppSuite" in data
    for text in (secret, asked.secret, str(approved.verifier), given.secret):
        assert text.encode() not in data
        assert text not in repr((consumer, approved, asked, given))


async def test_of_many_processes_one_takes_a_request_and_one_gets_the_token(
    tmp_path: Path, service: WebServices
) -> None:
    consumer, _ = await service.add_consumer(ADMIN, GUIDE)
    exchanges = []
    others = [repository_in(tmp_path) for _ in range(4)]
    for other in others:
        kept = WebServicesRepository(other.engine, other.sealer, WebServicesSettings())
        exchanges.append(TokenExchange(kept))
    now = service.repository.clock()
    taken = await asyncio.gather(*(it.take_once(b"n" * 32, consumer, now) for it in exchanges))
    assert sorted(result.name for result in taken) == ["REPEATED"] * 3 + ["TAKEN"]

    await exchanges[0].ask(consumer, "10.0.0.10")
    (waiting,) = await service.temporary_tokens()
    approved = await service.approve(ADMIN, waiting.id)
    traded = await asyncio.gather(*(it.trade(approved, str(approved.verifier), "x") for it in exchanges))
    for other in others:
        await other.close()
    assert sorted(verdict.name for verdict, _ in traded) == ["GONE"] * 3 + ["RIGHT"]
    assert len(await service.final_tokens()) == 1


async def test_requests_are_forgotten_when_their_time_is_over(service: WebServices) -> None:
    exchange = TokenExchange(service.repository)
    consumer, _ = await service.add_consumer(ADMIN, GUIDE)
    now = service.repository.clock()
    old = await exchange.take_once(b"o" * 32, consumer, now - 601)
    new = await exchange.take_once(b"n" * 32, consumer, now)
    assert [old, new] == [Once.TAKEN] * 2
    # The old one would be refused for its time now; it is not held any more.
    assert await exchange.take_once(b"o" * 32, consumer, now - 601) is Once.TAKEN
    assert await exchange.take_once(b"n" * 32, consumer, now) is Once.REPEATED


async def test_known_and_unknown_cost_the_same_work(service: WebServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """By construction, not by the clock: as many values are unsealed for a stranger as for an owner."""
    await token(service)
    exchange = TokenExchange(service.repository)
    (final,) = await service.final_tokens()
    unsealed: list[str] = []
    sealer = service.repository.sealer
    unseal = sealer.open

    def noting(sealed: bytes, context: str) -> str:
        unsealed.append(context)
        return unseal(sealed, context)

    monkeypatch.setattr(sealer, "open", noting)
    counts = []
    for client, key in (("MiVOAppSuite", final.token), ("MiVOAppSuite", "x"), ("x", final.token), ("x", "x")):
        unsealed.clear()
        signer = await exchange.signer(client, key, TokenKind.FINAL)
        counts.append((len(unsealed), signer.genuine, bool(signer.client_secret and signer.token_secret)))
    assert counts == [(2, True, True), (2, False, True), (2, False, True), (2, False, True)]
