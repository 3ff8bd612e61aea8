"""`opx gateway forward`: port forwarding (guide stage 2)."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, TypeVar

import typer

from opx.commandline import print_table
from opx.gateway.commands.common import (
    CONFIG,
    ConfigOption,
    settings_of,
    tell_gateway,
    with_repository,
)
from opx.gateway.control.client import ControlClient
from opx.gateway.control.forwards import ForwardsLive
from opx.gateway.control.protocol import ControlError, NobodyThere
from opx.gateway.forwarding import presets
from opx.gateway.forwarding.checking import warnings
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.rules import (
    Forward,
    ForwardSpec,
    Ports,
    Protocol,
    parse_address,
    parse_sources,
)
from opx.gateway.forwarding.site import site_of
from opx.gateway.settings import GatewaySettings

forward_app = typer.Typer(no_args_is_help=True, help="Port forwarding to hosts of the LAN.")

Number = Annotated[int, typer.Argument(help="The rule's number, as `list` shows it.")]
PortsText = Annotated[str, typer.Argument(help="A port, a list (8186,8187) or a range (9000-9010).")]
Host = Annotated[str, typer.Argument(help="Destination Host IP Address.")]
HostPort = Annotated[int | None, typer.Option("--host-port", help="Destination port; without it the same port.")]
Source = Annotated[
    list[str] | None, typer.Option("--source", help="A network that may connect, again for each; none: everyone.")
]
Snat = Annotated[bool, typer.Option("--snat/--no-snat", help="Whether the host sees the gateway's inside address.")]
Force = Annotated[bool, typer.Option("--force", help="Take ports that the guide keeps closed.")]
Clients = Annotated[
    list[presets.Client],
    typer.Option("--client", help="Who will connect to the suite, again for each."),
]
T = TypeVar("T")


@forward_app.command("list")
def forward_list(config: ConfigOption = CONFIG) -> None:
    """List the rules that are wanted; `status` shows what is in force of them."""
    rules = _with_forwards(settings_of(config), lambda forwards: forwards.all())
    columns = (
        "Id",
        "Enabled",
        "Protocol",
        "Port",
        "Destination Host",
        "Destination port",
        "SNAT",
        "Sources",
        "Description",
    )
    print_table(columns, [_row(rule) for rule in rules])


@forward_app.command("add")
def forward_add(
    ports: PortsText,
    host: Host,
    host_port: HostPort = None,
    protocol: Annotated[Protocol, typer.Option(case_sensitive=False)] = Protocol.TCP,
    snat: Snat = True,
    source: Source = None,
    description: str = "",
    enabled: bool = True,
    force: Force = False,
    config: ConfigOption = CONFIG,
) -> None:
    """Add a rule."""
    settings = settings_of(config)

    async def work(forwards: ForwardRepository) -> list[Forward]:
        spec = ForwardSpec(
            protocol,
            Ports.parse(ports),
            parse_address(host),
            host_port,
            snat,
            parse_sources(",".join(source or [])),
            description,
            enabled,
            force,
        )
        return await forwards.add(spec)

    _done(settings, _with_forwards(settings, work))


@forward_app.command("edit")
def forward_edit(
    number: Number,
    ports: Annotated[str | None, typer.Option(help="As with `add`.")] = None,
    host: Annotated[str | None, typer.Option(help="Destination Host IP Address.")] = None,
    host_port: HostPort = None,
    same_port: Annotated[bool, typer.Option("--same-port", help="No destination port of its own any more.")] = False,
    protocol: Annotated[Protocol | None, typer.Option(case_sensitive=False)] = None,
    snat: Annotated[bool | None, typer.Option("--snat/--no-snat")] = None,
    source: Source = None,
    any_source: Annotated[bool, typer.Option("--any-source", help="Let everyone connect.")] = False,
    description: str | None = None,
    enabled: Annotated[bool | None, typer.Option("--enabled/--no-enabled")] = None,
    force: Annotated[bool | None, typer.Option("--force/--no-force")] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Change a rule; what is not given stays."""
    if (host_port is not None and same_port) or (source is not None and any_source):
        raise typer.BadParameter("these say opposite things; expected one of them")
    settings = settings_of(config)

    async def work(forwards: ForwardRepository) -> Forward:
        rule = await forwards.get(number)
        was = rule.spec
        spec = ForwardSpec(
            protocol=protocol or was.protocol,
            ports=was.ports if ports is None else Ports.parse(ports),
            host=was.host if host is None else parse_address(host),
            host_port=None if same_port else was.host_port if host_port is None else host_port,
            snat=was.snat if snat is None else snat,
            sources=() if any_source else was.sources if source is None else parse_sources(",".join(source)),
            description=was.description if description is None else description,
            enabled=was.enabled if enabled is None else enabled,
            forced=was.forced if force is None else force,
        )
        return await forwards.change(number, spec, rule.version)

    _done(settings, [_with_forwards(settings, work)])


@forward_app.command("remove")
def forward_remove(number: Number, config: ConfigOption = CONFIG) -> None:
    """Remove a rule; connections that came by it end."""
    settings = settings_of(config)
    _with_forwards(settings, lambda forwards: forwards.remove(number))
    typer.echo(f"rule {number} is removed")
    tell_gateway(settings)


@forward_app.command("preset")
def forward_preset(
    host: Annotated[str, typer.Argument(help="IP address of the application suite.")],
    client: Clients,
    source: Source = None,
    apply: Annotated[bool, typer.Option("--apply", help="Make them; without it they are only shown.")] = False,
    config: ConfigOption = CONFIG,
) -> None:
    """The guide's rules for the MiVoice Office Application Suite and the chosen clients."""
    settings = settings_of(config)

    async def work(forwards: ForwardRepository) -> tuple[list[ForwardSpec], list[Forward]]:
        known = [rule.spec.route for rule in await forwards.all() if rule.spec.enabled]
        sources = parse_sources(",".join(source or []))
        specs = [replace(spec, sources=sources) for spec in presets.rules(parse_address(host), client)]
        missing = [spec for spec in specs if spec.route not in known]
        return specs, await forwards.add(*missing) if apply else []

    specs, made = _with_forwards(settings, work)
    if not apply:
        typer.echo(f"{presets.NAME}: these rules would be made (--apply makes those that are not there yet)")
        print_table(
            ("Protocol", "Port", "Destination Host", "SNAT", "Description"),
            [(spec.protocol, str(spec.ports), str(spec.host), "yes", spec.description) for spec in specs],
        )
    elif made:
        _done(settings, made)
    else:
        typer.echo("all of these rules are there already")


@forward_app.command("status")
def forward_status(config: ConfigOption = CONFIG) -> None:
    """Show the wanted rules beside what is in force of them. Exit status 1 when they differ."""
    settings = settings_of(config)
    rules = {rule.id: rule for rule in _with_forwards(settings, lambda forwards: forwards.all())}
    live = asyncio.run(_ask(settings))
    typer.echo(f"driver: {live.driver}" + (f" ({live.remark})" if live.remark else ""))
    if live.problem:
        typer.echo(f"port forwarding does not work: {live.problem}")
    rows: list[tuple[str, ...]] = []
    for one in live.rules:
        wanted = rules.get(one.id)
        open_now = "?" if one.open is None else str(one.open)
        counted = (str(one.connections), open_now, str(one.bytes_up), str(one.bytes_down), str(one.refused))
        rows.append((str(one.id), wanted.spec.label if wanted else "", one.state, one.why, *counted))
    print_table(("Id", "Rule", "State", "Why", "Connections", "Open", "Bytes in", "Bytes out", "Refused"), rows)
    if any(one.state not in ("in force", "off") for one in live.rules):
        sys.exit(1)


async def _ask(settings: GatewaySettings) -> ForwardsLive:
    client = ControlClient(settings.control_socket)
    try:
        return await client.forwards()
    except NobodyThere:
        sys.exit("no gateway is running here, so that nothing is known to be in force")
    except ControlError as error:
        sys.exit(f"the gateway does not say what is in force: {error}")
    finally:
        await client.close()


def _with_forwards(settings: GatewaySettings, work: Callable[[ForwardRepository], Awaitable[T]]) -> T:
    return with_repository(settings, lambda repository: work(ForwardRepository(repository.engine, site_of(settings))))


def _row(rule: Forward) -> tuple[str, ...]:
    spec = rule.spec
    return (
        str(rule.id),
        "yes" if spec.enabled else "no",
        spec.protocol,
        str(spec.ports),
        str(spec.host),
        "" if spec.host_port is None else str(spec.host_port),
        "yes" if spec.snat else "no",
        spec.sources_text or "everyone",
        spec.description,
    )


def _done(settings: GatewaySettings, rules: list[Forward]) -> None:
    site = site_of(settings)
    for rule in rules:
        typer.echo(f"rule {rule.id}: {rule.spec.label}" + ("" if rule.spec.enabled else ", switched off"))
        for warning in warnings(rule.spec, site):
            typer.echo(f"warning: {warning}", err=True)
    tell_gateway(settings)
