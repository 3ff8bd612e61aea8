"""Which rules are refused, and of which the operator is warned, each with the reason.

The refusals are those of the guide's stage 2 and of this gateway's own ports.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from opx.gateway.forwarding.rules import Forward, ForwardError, ForwardSpec, PortRange, Protocol

SIP_PORTS = (5060, 5061)
"""Signalling is the gateway's own business, whatever it listens on (guide stage 2: do not forward port 5060)."""

KEPT_CLOSED: Mapping[int, str] = {
    69: "TFTP",
    389: "LDAP",
    514: "syslog",
    636: "LDAP over TLS",
    8203: "the handsets' HTTP without encryption",
    8205: "the handsets' LDAP directory",
}
"""What else belongs to handsets and stays closed for remote ones (guide stage 2), unless a rule is forced."""


@dataclass(frozen=True, slots=True)
class OwnPort:
    """A port that the gateway itself listens on."""

    protocol: Protocol
    ports: PortRange
    what: str


@dataclass(frozen=True, slots=True)
class Site:
    """What of the gateway rules must not collide with. `outside` and `inside` are its addresses."""

    outside: ipaddress.IPv4Address
    inside: ipaddress.IPv4Address
    inside_network: ipaddress.IPv4Network
    sip_ports: tuple[int, ...]
    own: tuple[OwnPort, ...] = ()


def refusal(spec: ForwardSpec, site: Site) -> ForwardError | None:
    """Why this rule can be at no gateway like this one, whatever other rules there are."""
    for number in sorted({*SIP_PORTS, *site.sip_ports}):
        if number in spec.ports:
            return ForwardError(f"port {number} is SIP signalling, which the gateway itself takes", "ports")
    for own in site.own:
        if own.protocol is spec.protocol and any(part.overlaps(own.ports) for part in spec.ports.ranges):
            return ForwardError(f"{own.protocol} {own.ports} is the gateway's own: {own.what}", "ports")
    if (wrong := _wrong_host(spec, site)) is not None:
        return wrong
    if not spec.forced:
        for number, what in _kept_closed(spec):
            return ForwardError(f"port {number} is {what}, which the guide keeps closed; a forced rule may", "ports")
    return None


def _wrong_host(spec: ForwardSpec, site: Site) -> ForwardError | None:
    host = spec.host
    if host in (site.outside, site.inside):
        return ForwardError(f"{host} is the gateway itself; expected a host on the LAN", "host")
    if host.is_loopback and not site.inside.is_loopback:
        return ForwardError(f"{host} is the gateway itself; expected a host on the LAN", "host")
    if host.is_multicast or host == ipaddress.IPv4Address("255.255.255.255"):
        return ForwardError(f"{host} is not the address of one host; multicast is never forwarded", "host")
    if host.is_unspecified or host.is_reserved:
        return ForwardError(f"{host} is not the address of a host", "host")
    network = site.inside_network
    if network.prefixlen < 31 and host in (network.network_address, network.broadcast_address):
        return ForwardError(f"{host} is not the address of one host of {network}", "host")
    return None


def clash(spec: ForwardSpec, others: Iterable[Forward], own_id: int | None = None) -> ForwardError | None:
    """The rule that has some of the ports already. Rules that are switched off are in nobody's way."""
    if not spec.enabled:
        return None
    for other in others:
        if other.id == own_id or not other.spec.enabled or other.spec.protocol is not spec.protocol:
            continue
        if (both := spec.ports.overlap(other.spec.ports)) is not None:
            return ForwardError(f"{spec.protocol} {both} is forwarded by rule {other.id} already", "ports")
    return None


def warnings(spec: ForwardSpec, site: Site) -> list[str]:
    """What an operator should know of a rule that is allowed."""
    found = []
    if not spec.snat:
        found.append(
            "without SNAT the suite sees the clients' own addresses and does not know teleworkers by the gateway's; "
            "the destination host must also answer by way of the gateway"
        )
    if spec.host not in site.inside_network:
        found.append(f"{spec.host} is not in the gateway's inside network {site.inside_network}")
    found += [f"port {number} is {what}, which the guide keeps closed" for number, what in _kept_closed(spec)]
    return found


def _kept_closed(spec: ForwardSpec) -> Iterator[tuple[int, str]]:
    for number, what in KEPT_CLOSED.items():
        if number in spec.ports or number == spec.host_port:
            yield number, what


def check(spec: ForwardSpec, site: Site, others: Iterable[Forward], own_id: int | None = None) -> None:
    """ForwardError with the first reason why the rule cannot be."""
    for problem in (refusal(spec, site), clash(spec, others, own_id)):
        if problem is not None:
            raise problem
