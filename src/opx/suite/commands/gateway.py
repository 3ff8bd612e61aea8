"""`opx suite gateway`: the MiVoice Border Gateway page without a browser (guide stages 1 and 4)."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from opx.commandline import print_table
from opx.gateway_client.errors import GatewayError
from opx.kept.bulletin import Handler
from opx.suite.commands.common import CONFIG, ConfigOption, changing, settings_of, tell_suite, with_sites
from opx.suite.gateway_link.exchange import TokenExchange
from opx.suite.sites.records import GATEWAY_PORT, GatewayRecord, GatewaySpec, SiteError
from opx.suite.topics import SITES

gateway_app = typer.Typer(no_args_is_help=True, help="The MiVoice Border Gateway as the suite knows it.")

T = TypeVar("T")


@gateway_app.command("set")
def gateway_set(
    address: str,
    port: int = GATEWAY_PORT,
    rest_api: Annotated[bool, typer.Option("--rest-api/--no-rest-api", help="Enable Rest API.")] = False,
    config: ConfigOption = CONFIG,
) -> None:
    """Set the gateway's inside IP address and the port of its web services."""
    spec = GatewaySpec(address, port, rest_api)
    changing(config, SITES, lambda sites: sites.gateway.save(spec))
    typer.echo(f"the gateway is {address}:{port}, the Rest API {'on' if rest_api else 'off'}")


@gateway_app.command("show")
def gateway_show(config: ConfigOption = CONFIG) -> None:
    """Show what is set, the token's state, and the certificate that is trusted."""
    print_table(("", ""), _rows(with_sites(settings_of(config), lambda sites: sites.gateway.read())))


@gateway_app.command("trust")
def gateway_trust(
    fingerprint: Annotated[
        str, typer.Argument(help="SHA-256 of the gateway's certificate; without it the one it shows is only printed.")
    ] = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Trust the gateway's certificate, after comparing it with what the gateway's own console says."""

    async def work(exchange: TokenExchange) -> str:
        shown = await exchange.fingerprint()
        if fingerprint:
            if fingerprint.replace(":", "").lower() != shown:
                raise SiteError(f"the gateway shows another certificate, {shown}; it is not trusted")
            await exchange.trust(shown)
        return shown

    shown = _exchange(config, work)
    typer.echo(f"trusted: {shown}" if fingerprint else shown)


@gateway_app.command("request-token")
def request_token(
    consumer_id: str,
    secret_file: Annotated[Path, typer.Option(help="A file with the consumer's shared secret.")],
    name: str = "MiVoice Office Application Suite",
    config: ConfigOption = CONFIG,
) -> None:
    """Save & Test API Credentials: ask for a token, which an administrator approves on the gateway."""
    try:
        secret = secret_file.read_text().strip()
    except OSError as error:
        sys.exit(f"{secret_file} cannot be read: {error.strerror}")
    changing(config, SITES, lambda sites: sites.gateway.save_consumer(name, consumer_id, secret))
    _exchange(config, lambda exchange: exchange.request())
    typer.echo("requested; approve it on the gateway (Administration > Web services > Temporary tokens)")


@gateway_app.command("retrieve-token")
def retrieve_token(verifier: str, config: ConfigOption = CONFIG) -> None:
    """Retrieve Final Access Token, with the Verifier that the gateway shows."""
    _exchange(config, lambda exchange: exchange.retrieve(verifier))
    typer.echo("the suite has its token")


class _Noted:
    """A bulletin's end for a command: what is published there is told in the end."""

    def __init__(self) -> None:
        self.topics: set[str] = set()

    def subscribe(self, topic: str, handler: Handler) -> None:
        """A command ends before it could hear of anything."""

    def publish(self, topic: str, keys: Sequence[str] = ()) -> None:
        self.topics.add(topic)


def _exchange(config: Path, work: Callable[[TokenExchange], Awaitable[T]]) -> T:
    settings = settings_of(config)
    noted = _Noted()
    outcome = with_sites(settings, lambda sites: work(TokenExchange(sites, noted, settings.address)), GatewayError)
    for topic in noted.topics:
        tell_suite(settings, topic)
    return outcome


def _rows(gateway: GatewayRecord) -> list[tuple[str, ...]]:
    return [
        ("Inside address", f"{gateway.address}:{gateway.port}" if gateway.address else "not set"),
        ("Rest API", "on" if gateway.rest_api else "off"),
        ("Consumer ID", gateway.consumer_id),
        ("Token", "yes" if gateway.has_token else "requested" if gateway.pending else "none"),
        ("Trusted certificate", gateway.fingerprint or "none"),
        ("Another one was met", gateway.offered_fingerprint),
    ]
