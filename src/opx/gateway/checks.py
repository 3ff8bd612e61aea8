"""What may be wrong with a gateway's set-up, found before its phones find it; starts and changes nothing."""

import asyncio
import ctypes
import resource
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import DBAPIError

from opx.config import ConfigError
from opx.findings import Finding, Level, bind_advice, bind_problem
from opx.gateway.certificates import certificates_in_use, server_certificate
from opx.gateway.faults.settings import read_secret
from opx.gateway.faults.ways import ways
from opx.gateway.forwarding.nftables.driver import NftablesDriver
from opx.gateway.forwarding.service import policy_of
from opx.gateway.forwarding.site import site_of
from opx.gateway.records import IcpRecord, literal_address
from opx.gateway.repository import MIGRATIONS, Repository
from opx.gateway.resolver import LookupFailed, Resolver
from opx.gateway.settings import Face, GatewaySettings
from opx.store.engine import for_reading, is_new, is_postgresql, open_engine
from opx.store.errors import DatabaseTooNew, SecretsError
from opx.store.migrations import is_behind, reason_of
from opx.store.place import PostgresAddress
from opx.store.secrets import Sealer, load_key
from opx.web.certificates import CertificateInfo

PROC = Path("/proc/sys")
SOCKETS_PER_CALL = 4
"""RTP and RTCP on each side."""
SPARE_FILES = 200
"""Open files beside those of calls and connections."""
_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""
_TIMEX_BYTES = 512
"""More than any layout of its structure takes."""


async def check(settings: GatewaySettings, now: Callable[[], float] = time.time) -> list[Finding]:
    """Everything, in the order in which an engineer would mend it."""
    running = is_running(settings)
    found = [Finding(Level.OK, "settings", "are in order")]
    database, icps = await _database(settings)
    found += database
    found += addresses(settings, running=running)
    found += rtp_ports(settings)
    found += limits(settings)
    found += await _names(settings, icps)
    found += clock(now())
    found += await asyncio.to_thread(certificates, settings, now())
    found += modes(settings)
    found += deliveries(settings)
    found += await _forwarding(settings)
    return found


def is_running(settings: GatewaySettings) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(settings.control_socket)) == 0


# --- key file and database


async def _database(settings: GatewaySettings) -> tuple[list[Finding], list[IcpRecord]]:
    place = settings.database_place
    try:
        if await is_new(place):
            if settings.key_file.exists():
                load_key(settings.key_file, create=False)
            return [Finding(Level.OK, "database", f"{place}: is made at the first start")], []
        sealer = Sealer(load_key(settings.key_file, create=False))
    except SecretsError as error:
        return [Finding(Level.ERROR, "key file", str(error))], []
    except OSError as error:
        return [Finding(Level.ERROR, "database", str(error))], []
    found = [Finding(Level.OK, "key file", f"{settings.key_file}: is for its owner only")]
    engine = open_engine(place)
    try:
        if await is_behind(engine, MIGRATIONS):
            return [*found, Finding(Level.OK, "database", f"{place}: the next start brings it up to date")], []
        async with for_reading(engine).connect() as connection:
            if is_postgresql(engine):
                version = await connection.scalar(sqlalchemy.text("SHOW server_version"))
                kind = f"PostgreSQL {version}"
                encoding = await connection.scalar(sqlalchemy.text("SHOW server_encoding"))
                if encoding != "UTF8":
                    problem = f"{place}: has encoding {encoding}; expected UTF8 (CREATE DATABASE ... ENCODING 'UTF8')"
                    found.append(Finding(Level.WARNING, "database", problem))
            else:
                kind = "SQLite"
                looked = await connection.execute(sqlalchemy.text("PRAGMA integrity_check(3)"))
                problems = [str(row[0]) for row in looked]
                if problems != ["ok"]:
                    advice = "restore a backup (opx gateway restore)"
                    problem = f"{place}: is damaged: {'; '.join(problems)}; {advice}"
                    return [*found, Finding(Level.ERROR, "database", problem)], []
        repository = Repository(engine, sealer)
        await repository.open()
        icps, devices = await repository.icps(), await repository.devices()
        summary = f"{place}: {kind}, up to date and whole, {len(icps)} ICPs, {len(devices)} devices"
        return [*found, Finding(Level.OK, "database", summary)], icps
    except SecretsError as error:
        return [*found[1:], Finding(Level.ERROR, "key file", str(error))], []
    except (OSError, DatabaseTooNew) as error:
        return [*found, Finding(Level.ERROR, "database", str(error))], []
    except DBAPIError as error:
        problem = f"{place}: cannot be used: {reason_of(error)}; restore a backup (opx gateway restore)"
        return [*found, Finding(Level.ERROR, "database", problem)], []
    finally:
        await engine.dispose()


# --- network


def addresses(settings: GatewaySettings, *, running: bool) -> Iterator[Finding]:
    """Whether the addresses are this machine's, and their ports free; those of a running gateway are its own."""
    faces = (("set_side", settings.set_side), ("icp_side", settings.icp_side))
    for name, face in faces:
        yield _face(name, face, running=running)
    at, port = settings.web_address, settings.web.port
    problem = bind_problem(at, port, socket.SOCK_STREAM) if not running else bind_problem(at, 0, socket.SOCK_STREAM)
    where = f"web, TCP {at}:{port}"
    if problem:
        yield Finding(Level.ERROR, where, bind_advice(problem, "web.port", "web.address"))
    else:
        yield Finding(Level.OK, where, "in use by the running gateway" if running else "free")


def _face(name: str, face: Face, *, running: bool) -> Finding:
    kinds = {"UDP": socket.SOCK_DGRAM, "TCP": socket.SOCK_STREAM}
    where = f"{name}, {' and '.join(face.transports)} {face.address}:{face.port}"
    for transport in face.transports:
        if problem := bind_problem(face.address, 0 if running else face.port, kinds[transport]):
            return Finding(
                Level.ERROR, where, f"{transport}: " + bind_advice(problem, f"{name}.port", f"{name}.address")
            )
    return Finding(Level.OK, where, "in use by the running gateway" if running else "free")


def rtp_ports(settings: GatewaySettings) -> Iterator[Finding]:
    """The range against what the kernel gives to outgoing connections, and against the calls that are allowed."""
    first, last = settings.media.rtp_ports
    what = f"RTP ports {first} to {last}"
    room = (last - first + 1) // 2
    if room < settings.limits.calls:
        text = f"enough for {room} calls where limits.calls is {settings.limits.calls}; widen media.rtp_ports"
        yield Finding(Level.WARNING, what, text)
    low, high = (int(part) for part in _kernel("net/ipv4/ip_local_port_range", "32768 60999").split())
    if first <= high and low <= last and not _reserved(max(first, low), min(last, high)):
        text = f"the kernel gives ports {low} to {high} to outgoing connections, which may take them; reserve them: "
        yield Finding(Level.WARNING, what, f"{text}sysctl net.ipv4.ip_local_reserved_ports={first}-{last}")
    elif room >= settings.limits.calls:
        yield Finding(Level.OK, what, f"enough for {room} calls, and apart from the kernel's own")


def _reserved(first: int, last: int) -> bool:
    ports: set[int] = set()
    for part in filter(None, _kernel("net/ipv4/ip_local_reserved_ports", "").strip().split(",")):
        low, _, high = part.partition("-")
        ports.update(range(int(low), int(high or low) + 1))
    return ports.issuperset(range(first, last + 1))


def limits(settings: GatewaySettings) -> Iterator[Finding]:
    """Open files, and buffers of sockets."""
    wanted = settings.limits.calls * SOCKETS_PER_CALL // max(1, settings.media.workers) + settings.limits.connections
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < wanted + SPARE_FILES:
        text = f"{most} for a process, {wanted + SPARE_FILES} for all calls and connections that are allowed; raise "
        yield Finding(Level.WARNING, "open files", text + "LimitNOFILE of its service, or lower limits.connections")
    else:
        yield Finding(Level.OK, "open files", "enough for all calls and connections that are allowed")
    largest, asked = int(_kernel("net/core/rmem_max", "0").strip() or 0), settings.limits.udp_buffer
    if largest and largest < asked:
        text = f"the kernel grants {largest} bytes of limits.udp_buffer's {asked}, so bursts may be lost; raise it: "
        yield Finding(Level.WARNING, "UDP buffer", f"{text}sysctl net.core.rmem_max={asked}")


def _kernel(name: str, default: str) -> str:
    try:
        return (PROC / name).read_text()
    except OSError:
        return default


async def _names(settings: GatewaySettings, icps: list[IcpRecord]) -> list[Finding]:
    """Host names of ICPs, all at once: a name server that is away costs its patience once."""
    resolver = Resolver(settings.dns.nameservers, settings.dns.timeout)
    nodes = [(icp, node) for icp in icps for node in icp.addresses if literal_address(node.host) is None]
    answers = await asyncio.gather(*(resolver.locate(node) for _, node in nodes), return_exceptions=True)
    found = []
    for (icp, node), answer in zip(nodes, answers, strict=True):
        what = f"ICP {icp.name}, {node.host}"
        if isinstance(answer, LookupFailed):
            found.append(Finding(Level.WARNING, what, f"{answer}; look at the name, or at dns.nameservers"))
        elif isinstance(answer, BaseException):
            raise answer
        elif not answer.candidates:
            found.append(Finding(Level.WARNING, what, "there is no such host; mend the ICP or the name servers"))
        else:
            found.append(Finding(Level.OK, what, f"{len(answer.candidates)} addresses"))
    return found


# --- time, certificates, files


def clock(now: float) -> Iterator[Finding]:
    """Expiry of certificates and tokens, and timestamps of the web services, go by it."""
    released = Path(__file__).stat().st_mtime
    if now < released - 86400:
        text = f"says {time.strftime('%Y-%m-%d', time.gmtime(now))}, before this release was installed; set it"
        yield Finding(Level.ERROR, "clock", text)
    elif not _synchronised():
        yield Finding(Level.WARNING, "clock", "is not synchronised; run a time service (chrony, systemd-timesyncd)")
    else:
        yield Finding(Level.OK, "clock", "is synchronised")


def _synchronised() -> bool:
    return bool(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) != _TIME_ERROR)


def certificates(settings: GatewaySettings, now: float) -> list[Finding]:
    """What the web servers show, and the authority that clients trust."""
    folder, own = settings.certificates.folder, settings.certificates.chain
    if own is None and not (folder / "ca.pem").exists():
        return [Finding(Level.OK, "certificates", f"{folder}: an authority is made at the first start")]
    try:
        if own is not None:
            server_certificate(settings).open()
        return [_lasting(info, settings, now) for info in certificates_in_use(settings)]
    except OSError as error:
        return [Finding(Level.ERROR, "certificates", str(error))]


def _lasting(info: CertificateInfo, settings: GatewaySettings, now: float) -> Finding:
    days = info.days_left(now)
    what = f"certificate {info.subject}"
    if days < 0:
        level = Level.ERROR
    elif days < settings.certificates.warn_days:
        level = Level.WARNING
    else:
        return Finding(Level.OK, what, f"{info.path}: lasts {days:.0f} days")
    text = "has expired" if days < 0 else f"expires in {days:.0f} days"
    renewed = "a running gateway renews it by itself" if settings.certificates.chain is None else "replace it"
    advice = "clients must trust the new one that replaces it" if info.authority else renewed
    return Finding(level, what, f"{info.path}: {text}; {advice}")


def modes(settings: GatewaySettings) -> Iterator[Finding]:
    """Files with secrets that others could read."""
    certificates = settings.certificates
    paths = [settings.key_file, certificates.key, settings.postgresql.password_file, certificates.folder / "ca.key"]
    paths += [settings.webhook.secret_file, settings.alarms.smtp_password_file, settings.metrics.token_file]
    if not isinstance(settings.database, PostgresAddress):
        paths.append(settings.database)
    open_ones = [path for path in paths if path is not None and path.exists() and _others(path) & 0o077]
    for path in open_ones:
        yield Finding(Level.ERROR, "file modes", f"{path}: others can use it; chmod 600 {path}")
    folder = settings.control_socket.parent
    if folder.exists() and _others(folder) & stat.S_IWOTH and not _others(folder) & stat.S_ISVTX:
        yield Finding(Level.WARNING, "file modes", f"{folder}: others can put files there; chmod o-w {folder}")
    elif not open_ones:
        yield Finding(Level.OK, "file modes", "no file with a secret can be read by others")


def _others(path: Path) -> int:
    return path.stat().st_mode


def deliveries(settings: GatewaySettings) -> Iterator[Finding]:
    """Whether what alarms and records need to leave the machine can be read."""
    try:
        found = [way.name for way, _, _ in ways(settings)]
        read_secret(settings.metrics.token_file, "token")
    except (ConfigError, OSError, ValueError) as error:
        yield Finding(Level.ERROR, "alarms", str(error))
        return
    told = f"are told by {' and '.join(found)}" if found else "are told to nobody; see [alarms] and [webhook]"
    yield Finding(Level.OK if found else Level.WARNING, "alarms", told)


# --- forwarding


async def _forwarding(settings: GatewaySettings) -> list[Finding]:
    wanted = settings.forwarding.driver
    if wanted == "userspace":
        return [Finding(Level.OK, "port forwarding", "by the userspace driver")]
    problem = await NftablesDriver(policy_of(settings.forwarding, site_of(settings))).problem()
    if not problem:
        return [Finding(Level.OK, "port forwarding", "by nftables, in the kernel")]
    if wanted == "nftables":
        text = f"nftables cannot be used: {problem}; mend that, or set forwarding.driver to auto"
        return [Finding(Level.ERROR, "port forwarding", text)]
    return [Finding(Level.OK, "port forwarding", f"by the userspace driver; nftables is not used: {problem}")]
