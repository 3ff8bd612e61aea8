"""What may be wrong with a suite's set-up, found before its phones find it; starts and changes nothing."""

import asyncio
import socket
import stat
import time
from collections.abc import Iterator

from opx.findings import Finding, Level, bind_advice, bind_problem
from opx.kept.bulletin import Handler
from opx.store.engine import is_new, open_engine
from opx.store.errors import DatabaseTooNew, SecretsError
from opx.store.migrations import is_behind
from opx.store.secrets import Sealer, load_key
from opx.suite.certificates import certificates_in_use
from opx.suite.console.lookout import Lookout, look_at_gateway
from opx.suite.console.phone_rows import PhoneRows
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.opening import MIGRATIONS, check_key
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.settings import SuiteSettings
from opx.suite.sites.conditions import Condition, Status, conditions
from opx.suite.sites.repository import SiteRepository
from opx.web.authority import CertificateError

LEVELS = {
    Status.DONE: Level.OK,
    Status.NOTE: Level.OK,
    Status.UNKNOWN: Level.WARNING,
    Status.MISSING: Level.WARNING,
    Status.WRONG: Level.ERROR,
}


class _Alone:
    """The bulletin of a command: nobody hears of anything."""

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Nothing comes."""

    def publish(self, topic: str, keys: object = ()) -> None:
        """A check changes nothing that others should hear of."""


async def check(settings: SuiteSettings) -> list[Finding]:
    """Everything: the machine's part first, then the guide's conditions stage by stage."""
    found = [Finding(Level.OK, "settings", "are in order")]
    found += addresses(settings, running=is_running(settings))
    found += certificates(settings, time.time())
    found += modes(settings)
    return [*found, *await _site(settings)]


def is_running(settings: SuiteSettings) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(settings.bulletin)) == 0


def addresses(settings: SuiteSettings, *, running: bool) -> Iterator[Finding]:
    """Whether the addresses are this machine's, and their ports free; those of a running suite are its own."""
    handsets = settings.handsets
    ports = [
        ("console", settings.web_address, settings.web.port, "web.port", "web.address"),
        ("handsets", settings.address, handsets.https_port, "handsets.https_port", "address"),
    ]
    if handsets.http:
        ports.append(("handsets of the LAN", settings.address, handsets.http_port, "handsets.http_port", "address"))
    for what, address, port, port_setting, address_setting in ports:
        where = f"{what}, TCP {address}:{port}"
        if problem := bind_problem(address, 0 if running else port, socket.SOCK_STREAM):
            yield Finding(Level.ERROR, where, bind_advice(problem, port_setting, address_setting))
        else:
            yield Finding(Level.OK, where, "in use by the running suite" if running else "free")


def certificates(settings: SuiteSettings, now: float) -> Iterator[Finding]:
    """What the servers show, and the authority that phones trust."""
    if settings.certificates.own is None and not (settings.certificates.folder / "ca.pem").exists():
        folder = settings.certificates.folder
        yield Finding(Level.OK, "certificates", f"{folder}: an authority is made at the first start")
        return
    try:
        infos = certificates_in_use(settings)
    except CertificateError as error:
        yield Finding(Level.ERROR, "certificates", str(error))
        return
    for info in infos:
        days = info.days_left(now)
        what = f"certificate {info.subject}"
        if days >= settings.certificates.warn_days:
            yield Finding(Level.OK, what, f"{info.path}: lasts {days:.0f} days")
        else:
            text = "has expired" if days < 0 else f"expires in {days:.0f} days"
            yield Finding(Level.ERROR if days < 0 else Level.WARNING, what, f"{info.path}: {text}; replace it")


def modes(settings: SuiteSettings) -> Iterator[Finding]:
    """Files with secrets that others could read."""
    paths = [settings.key_file, settings.certificates.key, settings.certificates.folder / "ca.key"]
    if settings.database_place.file is not None:
        paths.append(settings.database_place.file)
    there = [path for path in paths if path is not None and path.exists()]
    open_ones = [path for path in there if stat.S_IMODE(path.stat().st_mode) & 0o077]
    for path in open_ones:
        yield Finding(Level.ERROR, "file modes", f"{path}: others can use it; chmod 600 {path}")
    if not open_ones:
        yield Finding(Level.OK, "file modes", "no file with a secret can be read by others")


async def _site(settings: SuiteSettings) -> list[Finding]:
    """The database, and with it the guide's conditions."""
    place = settings.database_place
    try:
        if await is_new(place):
            return [Finding(Level.OK, "database", f"{place}: is made at the first start")]
        sealer = Sealer(await asyncio.to_thread(load_key, settings.key_file, create=False))
    except SecretsError as error:
        return [Finding(Level.ERROR, "key file", str(error))]
    except OSError as error:
        return [Finding(Level.ERROR, "database", str(error))]
    engine = open_engine(place)
    try:
        if await is_behind(engine, MIGRATIONS):
            return [Finding(Level.OK, "database", f"{place}: the next start brings it up to date")]
        await check_key(engine, sealer)
        sites = SiteRepository(engine, sealer)
        link = GatewayLink(sites, _Alone(), settings.address)
        try:
            view = await look_at_gateway(link)
        finally:
            await link.close()
        facts = await Lookout(sites, ProvisioningRepository(engine), PhoneRows(engine), settings).facts(view)
        found = [Finding(Level.OK, "database", f"{place}: is up to date")]
        return found + [_finding(item) for item in conditions(facts)]
    except SecretsError as error:
        return [Finding(Level.ERROR, "key file", str(error))]
    except (OSError, DatabaseTooNew) as error:
        return [Finding(Level.ERROR, "database", str(error))]
    finally:
        await engine.dispose()


def _finding(item: Condition) -> Finding:
    text = item.text or item.status.value
    if item.status is Status.UNKNOWN:
        text = f"cannot be checked here: {text}"
    return Finding(LEVELS[item.status], f"stage {item.stage}, {item.what}", text)
