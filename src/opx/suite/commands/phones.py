"""`opx suite phone`: the Phones page without a browser."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from opx.commandline import print_table
from opx.suite.commands.common import CONFIG, ConfigOption, settings_of, tell_suite, with_sites
from opx.suite.handsets.records import PhoneRecord, normal_mac, pretty_mac
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.settings import SuiteSettings
from opx.suite.sites.records import Missing
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.suite.topics import PHONES

phone_app = typer.Typer(no_args_is_help=True, help="Phones that have asked for their configuration.")

Extension = Annotated[str, typer.Option(help="The extension's number.")]
T = TypeVar("T")


@phone_app.command("list")
def phone_list(config: ConfigOption = CONFIG) -> None:
    """List the phones, those that wait for approval first."""

    async def work(sites: SiteRepository, phones: PhoneRepository) -> list[tuple[str, ...]]:
        numbers = {extension.id: extension.number for extension in (await sites.extensions())[0]}
        return [_row(phone, numbers) for phone in (await phones.phones())[0]]

    columns = ("MAC", "Model", "Firmware", "State", "Extension", "Side", "Last seen", "Source")
    print_table(columns, _with_phones(settings_of(config), work))


@phone_app.command("approve")
def phone_approve(mac: str, extension: Extension = "", config: ConfigOption = CONFIG) -> None:
    """Let a phone have its secrets; with an extension it becomes that one's."""

    async def work(sites: SiteRepository, phones: PhoneRepository) -> None:
        known = normal_mac(mac)
        if extension:
            await phones.assign(known, await _extension_id(sites, extension))
        await phones.approve(known, time.time(), settings_of(config).handsets.delivery_window)

    _changing(config, work)
    typer.echo(f"{mac} is approved{f' as {extension}' if extension else ''}")


@phone_app.command("assign")
def phone_assign(mac: str, extension: Extension = "", config: ConfigOption = CONFIG) -> None:
    """Make a phone an extension's, or nobody's."""

    async def work(sites: SiteRepository, phones: PhoneRepository) -> None:
        await phones.assign(normal_mac(mac), await _extension_id(sites, extension) if extension else None)

    _changing(config, work)
    typer.echo(f"{mac} is {extension or 'nobody'}'s")


@phone_app.command("revoke")
def phone_revoke(mac: str, config: ConfigOption = CONFIG) -> None:
    """Give a phone nothing secret any more."""

    async def work(sites: SiteRepository, phones: PhoneRepository) -> None:
        await phones.revoke(normal_mac(mac))

    _changing(config, work)
    typer.echo(f"{mac} is revoked")


@phone_app.command("code")
def phone_code(extension: Annotated[str, typer.Argument()], config: ConfigOption = CONFIG) -> None:
    """Make a one-time code, with which an extension's user logs in at a new phone; shown this once."""
    lasting = settings_of(config).handsets.code_seconds

    async def work(sites: SiteRepository, phones: PhoneRepository) -> str:
        return await phones.make_code(await _extension_id(sites, extension), time.time(), lasting)

    typer.echo(f"{_changing(config, work)} (once, within {lasting / 3600:g} h)")


def _with_phones(settings: SuiteSettings, work: Callable[[SiteRepository, PhoneRepository], Awaitable[T]]) -> T:
    return with_sites(settings, lambda sites: work(sites, PhoneRepository(sites.engine, sites.sealer)))


def _changing(config: Path, work: Callable[[SiteRepository, PhoneRepository], Awaitable[T]]) -> T:
    settings = settings_of(config)
    outcome = _with_phones(settings, work)
    tell_suite(settings, PHONES)
    return outcome


async def _extension_id(sites: SiteRepository, number: str) -> int:
    found, _ = await sites.extensions(ExtensionQuery(text=number))
    for extension in found:
        if extension.number == number:
            return extension.id
    raise Missing(f"there is no SIP extension {number}")


def _row(phone: PhoneRecord, numbers: dict[int, str]) -> tuple[str, ...]:
    seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(phone.last_seen)) if phone.last_seen else "never"
    extension = numbers.get(phone.used_extension_id, "") if phone.used_extension_id is not None else ""
    return (
        pretty_mac(phone.mac),
        phone.model,
        phone.firmware,
        phone.state.value,
        extension,
        phone.side,
        seen,
        phone.source,
    )
