"""Every condition of the guide as a checked, explained item, stage by stage; it decides on facts, and asks nobody."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from opx.gateway_client.models import Forward, Icp, Server
from opx.suite.sites.records import GatewayRecord, Locations, NodeRecord, PbxRecord
from opx.suite.sites.versions import MIN_CT_GATEWAY, MIN_CT_GATEWAY_TEXT, MIN_PBX, MIN_PBX_TEXT, Release

MIN_LEVEL = 10
"""The guide: "the MBG must be running v10 or higher and be configured in Gateway mode"."""
SIP_PORT = 5060
TOKEN_WARNING_DAYS = 30

STAGES = {
    1: "The gateway's addresses",
    2: "Port forwarding on the gateway",
    3: "The PBX's nodes as ICPs of the gateway",
    4: "Access to the gateway for automatic provisioning",
    5: "Extensions for remote access",
    6: "The phones",
}
GATEWAY_PAGE = "/border-gateway"


class Status(StrEnum):
    """How a condition is met. `UNKNOWN` cannot be checked from here; `NOTE` is good to know and hinders nothing."""

    DONE = "done"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Condition:
    """`text` says how it is and what to do where something is to be done; `path` is the page for that, "" when it is
    elsewhere."""

    stage: int
    what: str
    status: Status
    text: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class GatewayView:
    """What the gateway said when it was asked; `problem` why it did not. None of a list: that is not granted."""

    server: Server | None = None
    problem: str = ""
    icps: Sequence[Icp] | None = None
    forwards: Sequence[Forward] | None = None


@dataclass(frozen=True, slots=True)
class Extensions:
    """How many SIP extensions the PBXs have, and how many of them are what."""

    present: int = 0
    teleworkers: int = 0
    obstructed: int = 0
    hot_desks: int = 0
    hot_desk_teleworkers: int = 0
    on_gateway: int = 0
    waiting: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Phones:
    """How many phones were seen, and of these wait for somebody's approval."""

    seen: int = 0
    waiting: int = 0
    approved: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """All that conditions are checked on. `now` in seconds since 1970; `lacking` are names that the suite's certificate
    should have and has not."""

    gateway: GatewayRecord
    view: GatewayView
    locations: Locations
    pbxs: Sequence[PbxRecord]
    nodes: Sequence[NodeRecord]
    extensions: Extensions
    phones: Phones
    suite_address: str
    https_port: int
    now: float
    lacking: Sequence[str] = field(default=())


def conditions(facts: Facts) -> list[Condition]:
    """In the order of the guide."""
    return [
        *_addresses(facts),
        *_forwards(facts),
        *_icps(facts),
        *_access(facts),
        *_extensions(facts),
        *_phones(facts),
    ]


# --- stage 1


def _addresses(facts: Facts) -> Iterator[Condition]:
    if facts.gateway.address:
        yield Condition(1, "Internal IP address of the gateway", Status.DONE, facts.gateway.address, GATEWAY_PAGE)
    else:
        text = "enter it, so that teleworkers' phones are recognised and the gateway can be asked"
        yield Condition(1, "Internal IP address of the gateway", Status.MISSING, text, GATEWAY_PAGE)
    if not facts.nodes:
        path = f"/pbxs/{facts.pbxs[0].id}" if facts.pbxs else "/pbxs/add"
        yield Condition(1, "A PBX with a node", Status.MISSING, "add the PBX and its nodes", path)
    outside = facts.view.server.outside_address if facts.view.server else ""
    for node in facts.nodes:
        what, path = f"NAT IP Address of {node.name}", f"/pbxs/{node.pbx_id}/nodes/{node.id}"
        if not node.nat_address:
            text = "enter the gateway's external IP address; without it phones outside of this node get no registrar"
            yield Condition(1, what, Status.MISSING, text, path)
        elif node.nat_address == facts.gateway.address:
            text = f"{node.nat_address} is the gateway's internal address, which phones outside do not reach"
            yield Condition(1, what, Status.WRONG, text, path)
        elif outside and node.nat_address != outside and _is_address(node.nat_address):
            text = f"{node.nat_address}; the gateway's own outside address is {outside}, so a router must stand between"
            yield Condition(1, what, Status.DONE, text, path)
        else:
            yield Condition(1, what, Status.DONE, node.nat_address, path)
    remote = facts.locations.remote
    if not remote:
        text = "enter the gateway's external IP address or a name of it; remote phones fetch everything from there"
        yield Condition(1, "Client Location Remote", Status.MISSING, text, "/locations/remote")
    elif remote in (facts.gateway.address, facts.suite_address):
        text = f"{remote} is an address of the office, which phones outside do not reach"
        yield Condition(1, "Client Location Remote", Status.WRONG, text, "/locations/remote")
    else:
        yield Condition(1, "Client Location Remote", Status.DONE, remote, "/locations/remote")
    if facts.lacking:
        text = f"lacks {', '.join(facts.lacking)}; phones that validate it refuse it"
        yield Condition(1, "The suite's certificate", Status.WRONG, text, "/locations/remote")
    else:
        yield Condition(1, "The suite's certificate", Status.DONE, "has the names of all locations")


# --- stage 2


def _forwards(facts: Facts) -> Iterator[Condition]:
    what = f"TCP {facts.https_port} to {facts.suite_address}, with SNAT"
    closed = f"Port {SIP_PORT} is not forwarded"
    forwards = facts.view.forwards
    if forwards is None:
        text = (
            f"{facts.view.problem}; look there at MBG Security > Port Forwarding"
            if facts.view.problem
            else "the consumer has no permission OPX/v1/forwards; look there at MBG Security > Port Forwarding"
        )
        yield Condition(2, what, Status.UNKNOWN, text)
        yield Condition(2, closed, Status.UNKNOWN, text)
        return
    own = [rule for rule in forwards if rule.enabled and rule.protocol == "TCP" and _opens(rule, facts.https_port)]
    rule = next((rule for rule in own if rule.host == facts.suite_address), own[0] if own else None)
    if rule is None:
        text = "add it under MBG Security > Port Forwarding, such as by the preset for 69xx phones"
        yield Condition(2, what, Status.MISSING, text)
    elif rule.host != facts.suite_address:
        yield Condition(2, what, Status.WRONG, f"the rule leads to {rule.host}; change its Destination Host IP Address")
    elif not rule.snat:
        text = "the rule has no SNAT, without which teleworkers' phones are not recognised; tick it"
        yield Condition(2, what, Status.WRONG, text)
    elif rule.in_force is False:
        yield Condition(2, what, Status.WRONG, f"the rule is not in force: {rule.trouble or 'look at it'}")
    else:
        yield Condition(2, what, Status.DONE, "is in force" if rule.in_force else "is there")
    open_rule = next((rule for rule in forwards if rule.enabled and _opens(rule, SIP_PORT)), None)
    if open_rule is None:
        yield Condition(2, closed, Status.DONE)
    else:
        text = f"rule {open_rule.id} forwards it to {open_rule.host}; delete it, phones register at the gateway itself"
        yield Condition(2, closed, Status.WRONG, text)


# --- stage 3


def _icps(facts: Facts) -> Iterator[Condition]:
    icps = facts.view.icps
    for node in facts.nodes:
        what = f"ICP for {node.name} at {node.address}"
        if icps is None:
            text = facts.view.problem or "the consumer has no permission MBG/v1/icps"
            yield Condition(3, what, Status.UNKNOWN, f"{text}; look there at Service configuration > ICPs")
            continue
        icp = next((icp for icp in icps if node.address in icp.hosts), None)
        if icp is not None:
            yield Condition(3, what, Status.DONE, icp.name)
        else:
            text = f"no ICP has {node.address} as its Hostname or IP Address; add one, or correct the node's IP Address"
            yield Condition(3, what, Status.MISSING, text, f"/pbxs/{node.pbx_id}/nodes/{node.id}")
    if not facts.nodes:
        yield Condition(3, "ICPs for the nodes", Status.MISSING, "the nodes come first", "/pbxs")


# --- stage 4


def _access(facts: Facts) -> Iterator[Condition]:
    yield from _versions(facts)
    gateway, view = facts.gateway, facts.view
    if not gateway.rest_api:
        text = "is off: keep SIP users on the gateway by hand, or enable it"
        yield Condition(4, "Enable Rest API", Status.MISSING, text, GATEWAY_PAGE)
        return
    yield Condition(4, "Enable Rest API", Status.DONE, "", GATEWAY_PAGE)
    if gateway.offered_fingerprint:
        text = "the gateway shows another one than the trusted one; compare both"
        yield Condition(4, "The gateway's certificate", Status.WRONG, text, f"{GATEWAY_PAGE}/certificate")
    elif gateway.fingerprint:
        yield Condition(4, "The gateway's certificate", Status.DONE, "is trusted", GATEWAY_PAGE)
    else:
        text = "compare its fingerprint and trust it"
        yield Condition(4, "The gateway's certificate", Status.MISSING, text, f"{GATEWAY_PAGE}/certificate")
    yield _token(gateway, facts.now)
    if view.server is not None:
        level, mode = view.server.compatibility_level, view.server.mode
        version = f"{view.server.product} {view.server.version}, level {level}"
        old = Status.DONE if level >= MIN_LEVEL else Status.WRONG
        text = version if old is Status.DONE else f"{version}; expected {MIN_LEVEL} or higher: upgrade the gateway"
        yield Condition(4, f"Gateway version {MIN_LEVEL} or higher", old, text)
        right = mode == "gateway"
        text = "" if right else f"it works in {mode} mode; configure it in Gateway mode"
        yield Condition(4, "Gateway mode", Status.DONE if right else Status.WRONG, text)
    elif gateway.has_token:
        yield Condition(4, "The gateway answers", Status.WRONG, view.problem, GATEWAY_PAGE)
    else:
        text = "the gateway is asked once there is a token"
        yield Condition(4, f"Gateway version {MIN_LEVEL} or higher, in Gateway mode", Status.UNKNOWN, text)


def _versions(facts: Facts) -> Iterator[Condition]:
    """The guide's minima for automatic provisioning."""
    for node in facts.nodes:
        path = f"/pbxs/{node.pbx_id}/nodes/{node.id}"
        yield _version(f"{node.name} runs {MIN_PBX_TEXT} or later", node.software, MIN_PBX, MIN_PBX_TEXT, path)
    for pbx in facts.pbxs:
        what = f"CT Gateway of {pbx.name} runs {MIN_CT_GATEWAY_TEXT} or later"
        if pbx.ct_gateway or pbx.connector == "opx":
            yield _version(what, pbx.ct_gateway, MIN_CT_GATEWAY, MIN_CT_GATEWAY_TEXT, f"/pbxs/{pbx.id}/edit")
        else:
            yield Condition(4, what, Status.UNKNOWN, "enter its version, if there is one", f"/pbxs/{pbx.id}/edit")


def _version(what: str, text: str, least: Release, least_text: str, path: str) -> Condition:
    release = Release.parse(text)
    if not text:
        return Condition(4, what, Status.UNKNOWN, "its version is not known; enter it", path)
    if release is None:
        return Condition(4, what, Status.UNKNOWN, f"{text!r} is no version that is understood", path)
    match release.reaches(least):
        case True:
            return Condition(4, what, Status.DONE, text, path)
        case None:
            said = f"{text} does not tell whether it holds {least_text}; enter it with its service pack"
            return Condition(4, what, Status.UNKNOWN, said, path)
        case _:
            return Condition(4, what, Status.WRONG, f"{text} is too old; upgrade it", path)


def _token(gateway: GatewayRecord, now: float) -> Condition:
    what, path = "Access token", f"{GATEWAY_PAGE}/token"
    if not gateway.has_token:
        text = "was requested; approve it and enter its Verifier" if gateway.pending else "request one"
        return Condition(4, what, Status.MISSING, text, path)
    days = int(((gateway.token_until or 0) - now) // 86400)
    if days < 0:
        return Condition(4, what, Status.WRONG, "has expired; renew it on the gateway, or request another one", path)
    if days < TOKEN_WARNING_DAYS:
        return Condition(4, what, Status.WRONG, f"has {_number(days, 'day')} left; renew it", GATEWAY_PAGE)
    return Condition(4, what, Status.DONE, f"has {_number(days, 'day')} left", GATEWAY_PAGE)


# --- stage 5


def _extensions(facts: Facts) -> Iterator[Condition]:
    counts = facts.extensions
    path = f"/pbxs/{facts.pbxs[0].id}" if len(facts.pbxs) == 1 else "/pbxs"
    for pbx in facts.pbxs:
        if pbx.read_error:
            text = f"the last try failed: {pbx.read_error}"
            yield Condition(5, f"Extensions of {pbx.name} are read", Status.WRONG, text, f"/pbxs/{pbx.id}")
    if not counts.present:
        yield Condition(5, "SIP extensions", Status.MISSING, "read them from the PBX, or type them", path)
        return
    yield Condition(5, "SIP extensions", Status.DONE, f"{_number(counts.present, 'extension')} known", path)
    if counts.teleworkers:
        text = f"at {_number(counts.teleworkers, 'extension')}"
        yield Condition(5, "Use remote authorization credentials", Status.DONE, text, path)
    else:
        text = "tick it at the extensions whose phones are outside"
        yield Condition(5, "Use remote authorization credentials", Status.MISSING, text, path)
    what = "Internal authorization name equals the extension number"
    if counts.obstructed:
        text = f"not at {_number(counts.obstructed, 'extension')}, or no password is known; such cannot be remote ones"
        yield Condition(5, what, Status.NOTE, text, f"{path}?use=obstructed" if path != "/pbxs" else path)
    else:
        yield Condition(5, what, Status.DONE)
    if counts.hot_desks and counts.hot_desk_teleworkers < counts.hot_desks:
        number = counts.hot_desks - counts.hot_desk_teleworkers
        text = f"{number} of {counts.hot_desks} are not on the gateway: nobody logs in to them on a remote phone"
        yield Condition(5, "SIP hot desk extensions", Status.NOTE, text, path)
    if facts.gateway.rest_api and counts.teleworkers:
        yield _provisioned(counts, path)
    text = f"{_number(counts.teleworkers, 'is', 'are')} needed; the gateway's dashboard shows how many there are"
    yield Condition(5, "Teleworker licences on the gateway", Status.UNKNOWN, text)


def _provisioned(counts: Extensions, path: str) -> Condition:
    what = "Remote extensions are on the gateway"
    if counts.failed:
        return Condition(5, what, Status.WRONG, f"{counts.failed} could not be written; the page says why", path)
    if counts.waiting:
        return Condition(5, what, Status.MISSING, f"{_number(counts.waiting, 'is', 'are')} waiting to be written", path)
    return Condition(5, what, Status.DONE, f"{counts.on_gateway} of {counts.teleworkers}", path)


# --- stage 6


def _phones(facts: Facts) -> Iterator[Condition]:
    phones = facts.phones
    if not phones.seen:
        text = f"give each phone the configuration server {facts.locations.remote or 'of stage 1'}, HTTPS, port "
        yield Condition(6, "Phones ask for their configuration", Status.MISSING, f"{text}{facts.https_port}", "/phones")
        return
    yield Condition(
        6, "Phones ask for their configuration", Status.DONE, f"{_number(phones.seen, 'was', 'were')} seen", "/phones"
    )
    if phones.waiting:
        text = f"{_number(phones.waiting, 'waits', 'wait')}; approve them and give each its extension"
        yield Condition(6, "Phones are approved", Status.MISSING, text, "/phones?state=waiting")
    else:
        yield Condition(6, "Phones are approved", Status.DONE, f"{_number(phones.approved, 'is', 'are')}", "/phones")


# --- helpers


def _number(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _opens(rule: Forward, port: int) -> bool:
    """Whether a rule takes connections at a port; ports are as in "8186, 8187" and "9000-9010"."""
    for part in rule.ports.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit() and int(first) <= port <= int(last or first):
            return True
    return False


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()
