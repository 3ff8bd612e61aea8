"""What a lab is made of: hosts, links, addresses, and how each home's router translates.

Public addresses are of the documentation ranges (RFC 5737). Both homes use the same private network, as homes do.
"""

from dataclasses import dataclass
from enum import StrEnum


class Nat(StrEnum):
    """Kinds of NAT, by RFC 4787: how a mapping is chosen. Both let in only what was sent to (section 5)."""

    PORT_RESTRICTED = "port-restricted"
    """One mapping for all destinations, with the phone's own port where it is free."""
    SYMMETRIC = "symmetric"
    """Another port for each destination."""


class Alg(StrEnum):
    """What a home router does to SIP over UDP that passes it."""

    NONE = "none"
    KERNEL = "kernel"
    """Linux's own (nf_nat_sip): rewrites everything it knows of, and takes it back in answers."""
    CARELESS = "careless"
    """Rewrites Via, Call-ID and the description, and forgets Contact."""
    CONTACT = "contact"
    """Rewrites Contact and the description, and leaves Via alone."""
    BREAKING = "breaking"
    """Like careless, and leaves Content-Length as it was."""


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between two hosts: host, interface and address with prefix length at either end."""

    ends: tuple[tuple[str, str, str], tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Home:
    """A phone behind a router. The phone's host has the home's name, the router's is `router`."""

    name: str
    nat: Nat
    public: str

    @property
    def router(self) -> str:
        return f"{self.name}-router"


PHONE = "192.168.1.10"
"""The phone's address, in either home."""
HOME_ROUTER = "192.168.1.1"
HOME_NETWORK = "192.168.1.0/24"
OUTSIDE, INSIDE = "198.51.100.10", "10.20.0.1"
"""The gateway's addresses."""
PBX, OFFICE_PHONE, SPARE_PHONE = "10.20.0.20", "10.20.0.101", "10.20.0.102"
"""Addresses of the host `lan`."""
SERVERS = ("192.0.2.1", "192.0.2.2")
"""Addresses of the host `internet`, for servers out there."""

HOMES = (Home("home1", Nat.PORT_RESTRICTED, "203.0.113.7"), Home("home2", Nat.SYMMETRIC, "203.0.113.71"))

HOSTS = {
    "internet": "the internet's routers and servers",
    "home1": "a phone at home",
    "home1-router": "its router",
    "home2": "a phone at another home",
    "home2-router": "its router",
    "gateway": "the border gateway",
    "lan": "the office LAN: PBX node and office phones",
}
ROUTERS = ("internet", *(home.router for home in HOMES))

LINKS = (
    Link((("home1", "eth0", f"{PHONE}/24"), ("home1-router", "lan", f"{HOME_ROUTER}/24"))),
    Link((("home1-router", "wan", "203.0.113.7/26"), ("internet", "home1", "203.0.113.1/26"))),
    Link((("home2", "eth0", f"{PHONE}/24"), ("home2-router", "lan", f"{HOME_ROUTER}/24"))),
    Link((("home2-router", "wan", "203.0.113.71/26"), ("internet", "home2", "203.0.113.65/26"))),
    Link((("gateway", "outside", f"{OUTSIDE}/24"), ("internet", "gateway", "198.51.100.1/24"))),
    Link((("gateway", "inside", f"{INSIDE}/24"), ("lan", "eth0", f"{PBX}/24"))),
)
MORE_ADDRESSES = (
    *(("internet", "lo", f"{address}/32") for address in SERVERS),
    *(("lan", "eth0", f"{address}/24") for address in (OFFICE_PHONE, SPARE_PHONE)),
)
DEFAULT_ROUTES = {
    "home1": HOME_ROUTER,
    "home2": HOME_ROUTER,
    "home1-router": "203.0.113.1",
    "home2-router": "203.0.113.65",
    "gateway": "198.51.100.1",
}


def addresses(host: str) -> list[str]:
    """A host's addresses without prefix lengths, in the order of its interfaces; of `internet` the servers' only."""
    if host == "internet":
        return list(SERVERS)
    ends = [end for link in LINKS for end in link.ends if end[0] == host]
    more = [end for end in MORE_ADDRESSES if end[0] == host]
    return [address.partition("/")[0] for _, _, address in (*ends, *more)]


def picture(algs: dict[str, Alg]) -> str:
    """The lab in a few lines of text."""
    lines = []
    for host, what in HOSTS.items():
        home = next((home for home in HOMES if home.router == host), None)
        if home is not None:
            what += f", {home.nat} NAT"
            if home.name in algs:
                what += f", SIP ALG: {algs[home.name]}"
        lines.append(f"{host:<13} {', '.join(addresses(host)):<38} {what}")
    return "\n".join(lines)
