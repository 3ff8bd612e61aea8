"""`opx gateway web-services`, `consumer` and `token`: what Administration > Web services does, without a browser."""

import getpass
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from opx.commandline import print_table
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of, with_repository
from opx.gateway.console.models import CONSOLE
from opx.gateway.repository import Repository
from opx.gateway.webservices.records import (
    GUIDE_PERMISSIONS,
    RESOURCES,
    Actor,
    ConsumerRecord,
    ConsumerSpec,
    FinalRecord,
    Permission,
    WebServicesError,
)
from opx.gateway.webservices.repository import WebServicesRepository
from opx.gateway.webservices.service import WebServices
from opx.web.audit import Audit

web_services_app = typer.Typer(no_args_is_help=True, help="The web services API: start it and stop it.")
consumer_app = typer.Typer(no_args_is_help=True, help="The programs that may use the web services.")
token_app = typer.Typer(no_args_is_help=True, help="What consumers get in with.")

Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        help=f"RESOURCE=read, RESOURCE=read-write or RESOURCE=none, with {', '.join(RESOURCES)}. "
        "Without any, what the guide gives to the MiVoice Office Application Suite.",
    ),
]

T = TypeVar("T")


@web_services_app.command("start")
def start(config: ConfigOption = CONFIG) -> None:
    """Let consumers in."""
    _with_service(config, lambda service: service.start(_actor()))
    typer.echo("web services are started")


@web_services_app.command("stop")
def stop(config: ConfigOption = CONFIG) -> None:
    """Answer nobody any more; consumers and tokens stay."""
    _with_service(config, lambda service: service.stop(_actor()))
    typer.echo("web services are stopped")


@web_services_app.command("status")
def status(config: ConfigOption = CONFIG) -> None:
    """Say whether they are started, and who has access."""

    async def work(service: WebServices) -> str:
        state = "started" if await service.started() else "stopped"
        consumers, waiting = len(await service.consumers()), len(await service.temporary_tokens())
        holding = sum(_state(token) == "" for token in await service.final_tokens())
        return f"web services are {state}: {consumers} consumers, {holding} final tokens, {waiting} requests for access"

    typer.echo(_with_service(config, work))


@consumer_app.command("add")
def consumer_add(
    name: Annotated[str, typer.Argument(help="Such as MiVoice Office Application Suite.")],
    consumer_id: Annotated[str, typer.Argument(help="Such as MiVOAppSuite.")],
    allow: Allow = None,
    active: bool = True,
    config: ConfigOption = CONFIG,
) -> None:
    """Add a consumer; its shared secret is shown this once."""
    permissions = _permissions(allow) if allow else dict(GUIDE_PERMISSIONS)
    spec = ConsumerSpec(name, consumer_id, permissions, active)
    record, secret = _with_service(config, lambda service: service.add_consumer(_actor(), spec))
    typer.echo(f"consumer {record.consumer_id}: {_allowed(record)}")
    typer.echo(f"shared secret (shown this once): {secret}")


@consumer_app.command("edit")
def consumer_edit(
    consumer_id: str,
    name: str | None = None,
    allow: Allow = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive")] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Change a consumer; what is not given stays."""

    async def work(service: WebServices) -> ConsumerRecord:
        record = await _find(service, consumer_id)
        permissions = {**record.permissions, **_permissions(allow or [])}
        spec = ConsumerSpec(
            name if name is not None else record.name,
            consumer_id,
            permissions,
            active if active is not None else record.active,
        )
        return await service.change_consumer(_actor(), record.id, spec, record.version)

    record = _with_service(config, work)
    typer.echo(f"consumer {record.consumer_id}, {'active' if record.active else 'not active'}: {_allowed(record)}")


@consumer_app.command("new-secret")
def consumer_new_secret(consumer_id: str, config: ConfigOption = CONFIG) -> None:
    """Give a consumer another shared secret; with the one before it gets in no more."""

    async def work(service: WebServices) -> str:
        return (await service.new_secret(_actor(), (await _find(service, consumer_id)).id))[1]

    typer.echo(f"shared secret (shown this once): {_with_service(config, work)}")


@consumer_app.command("list")
def consumer_list(config: ConfigOption = CONFIG) -> None:
    """List the consumers."""
    consumers = _with_service(config, lambda service: service.consumers())
    columns = ("Active", "Name", "ConsumerID", "Permissions")
    rows: list[tuple[str, ...]] = [
        ("yes" if it.active else "no", it.name, it.consumer_id, _allowed(it)) for it in consumers
    ]
    print_table(columns, rows)


@consumer_app.command("remove")
def consumer_remove(consumer_id: str, config: ConfigOption = CONFIG) -> None:
    """Remove a consumer with all its tokens."""

    async def work(service: WebServices) -> None:
        await service.remove_consumer(_actor(), (await _find(service, consumer_id)).id)

    _with_service(config, work)
    typer.echo(f"consumer {consumer_id} is removed")


@token_app.command("list")
def token_list(config: ConfigOption = CONFIG) -> None:
    """List temporary tokens, with the Verifier of those that are approved, and final ones."""

    async def work(service: WebServices) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        temporary: list[tuple[str, ...]] = [
            (str(it.id), it.consumer.consumer_id, it.source, _at(it.created_at), _at(it.expires_at), it.verifier or "")
            for it in await service.temporary_tokens()
        ]
        final: list[tuple[str, ...]] = [
            (
                str(it.id),
                it.consumer.consumer_id,
                _at(it.created_at),
                _at(it.expires_at),
                f"{_at(it.last_used_at)} from {it.last_source}" if it.last_used_at else "never",
                _state(it),
            )
            for it in await service.final_tokens()
        ]
        return temporary, final

    temporary, final = _with_service(config, work)
    typer.echo("Temporary tokens")
    print_table(("Id", "ConsumerID", "Asked for from", "At", "Until", "Verifier"), temporary)
    typer.echo("Final tokens")
    print_table(("Id", "ConsumerID", "Issued", "Until", "Last used", "State"), final)


@token_app.command("approve")
def token_approve(
    token: Annotated[int, typer.Argument(help="Id of a temporary token.")], config: ConfigOption = CONFIG
) -> None:
    """Approve a temporary token, and show its Verifier, which is to be entered where it was asked for."""
    record = _with_service(config, lambda service: service.approve(_actor(), token))
    typer.echo(f"{record.consumer.name}, asked for from {record.source}")
    typer.echo(f"Verifier: {record.verifier}")


@token_app.command("deny")
def token_deny(
    token: Annotated[int, typer.Argument(help="Id of a temporary token.")], config: ConfigOption = CONFIG
) -> None:
    """Remove a temporary token."""
    _with_service(config, lambda service: service.deny(_actor(), token))
    typer.echo(f"temporary token {token} is removed")


@token_app.command("renew")
def token_renew(
    token: Annotated[int, typer.Argument(help="Id of a final token.")], config: ConfigOption = CONFIG
) -> None:
    """Let a final token hold for twelve months again."""
    record = _with_service(config, lambda service: service.renew(_actor(), token))
    typer.echo(f"final token {token} of {record.consumer.consumer_id} holds until {_at(record.expires_at)}")


@token_app.command("revoke")
def token_revoke(
    token: Annotated[int, typer.Argument(help="Id of a final token.")], config: ConfigOption = CONFIG
) -> None:
    """Let nobody in with a final token any more."""
    record = _with_service(config, lambda service: service.revoke(_actor(), token))
    typer.echo(f"final token {token} of {record.consumer.consumer_id} is revoked")


def _with_service(config: Path, work: Callable[[WebServices], Awaitable[T]]) -> T:
    settings = settings_of(config)

    async def do(repository: Repository) -> T:
        kept = WebServicesRepository(repository.engine, repository.sealer, settings.web_services)
        return await work(WebServices(kept, Audit(repository.engine, CONSOLE).note))

    try:
        return with_repository(settings, do)
    except WebServicesError as error:
        sys.exit(str(error))


def _actor() -> Actor:
    return Actor(f"{getpass.getuser()} (command line)")


async def _find(service: WebServices, consumer_id: str) -> ConsumerRecord:
    for record in await service.consumers():
        if record.consumer_id == consumer_id:
            return record
    raise WebServicesError(f"there is no consumer {consumer_id}")


def _permissions(allowed: list[str]) -> dict[str, Permission]:
    found: dict[str, Permission] = {}
    for text in allowed:
        resource, equals, permission = text.partition("=")
        if not equals or permission not in list(Permission):
            raise typer.BadParameter(f"{text!r} is no permission; expected RESOURCE=read, =read-write or =none")
        found[resource] = Permission(permission)
    return found


def _allowed(record: ConsumerRecord) -> str:
    allowed = [f"{name} {value}" for name, value in record.permissions.items() if value is not Permission.NONE]
    return ", ".join(allowed) or "nothing allowed"


def _state(token: FinalRecord) -> str:
    if token.revoked:
        return "revoked"
    return "expired" if token.expires_at <= time.time() else ""


def _at(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
