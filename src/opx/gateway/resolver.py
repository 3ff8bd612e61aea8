"""Asks DNS where the nodes of an ICP are (RFC 3263 section 4.2, without NAPTR: the transport is configured)."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from opx.gateway.repository import NodeAddress
from opx.sip.locating import Candidate, SrvRecord, from_addresses, from_srv, srv_name

MAX_NODES = 16
"""Servers taken of one name: each is asked for its health all the time."""
DNS_PORT = 53


class LookupFailed(Exception):
    """DNS gave no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a name leads, for `ttl` seconds. Without candidates: DNS says that there is no such server."""

    candidates: tuple[Candidate, ...]
    ttl: float
    decided: bool = True
    """False when DNS knows nothing of the name at all, so that a hosts file may have its say."""


class Resolver:
    """`nameservers` as ADDRESS or ADDRESS:PORT; without any those of this machine are asked, and its hosts file."""

    def __init__(self, nameservers: Sequence[str] = (), timeout: float = 5.0) -> None:
        self._nameservers = tuple(nameservers)
        self._timeout = timeout

    async def locate(self, address: NodeAddress) -> Located:
        """LookupFailed."""
        # Made anew each time, for the machine's own settings may change; reading them is work for a thread.
        resolver = await asyncio.to_thread(self._resolver)
        failure: LookupFailed | None = None
        try:
            located = await _by_srv(resolver, address) if address.port is None else None
            if located is None:
                located = await _by_addresses(resolver, address)
            if located.decided or self._nameservers:
                return located
        except LookupFailed as error:
            failure = error
        if self._nameservers or not (addresses := await _hosts_file(address.host)):
            if failure is not None:
                raise failure
            return Located((), 0.0)
        return Located(from_addresses(address.transport, address.port, addresses), 0.0)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        try:
            resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
        except dns.resolver.NoResolverConfiguration:
            resolver = dns.asyncresolver.Resolver(configure=False)
        for server in self._nameservers:
            host, _, port = server.partition(":")
            resolver.nameservers = [
                *resolver.nameservers,
                dns.nameserver.Do53Nameserver(host, int(port or DNS_PORT)),
            ]
        resolver.lifetime = self._timeout
        return resolver


async def _by_srv(resolver: dns.asyncresolver.Resolver, address: NodeAddress) -> Located | None:
    """None when the name has no SRV records. Targets whose addresses cannot be had are left out, unless all are."""
    found = await _srv(resolver, srv_name(address.host, address.transport))
    if found is None:
        return None
    records, ttl = found
    targets = sorted({record.target for record in records} - {"."})
    answers = await asyncio.gather(*(_a(resolver, target) for target in targets), return_exceptions=True)
    addresses: dict[str, list[str]] = {}
    for target, answer in zip(targets, answers, strict=True):
        if isinstance(answer, BaseException):
            if not isinstance(answer, LookupFailed) or len(targets) == 1:
                raise answer
            ttl = 0.0
        else:
            addresses[target] = answer[0]
            ttl = min(ttl, answer[1])
    if targets and not addresses:
        raise LookupFailed("the name servers give no address of its servers")
    return Located(from_srv(address.transport, records, addresses)[:MAX_NODES], ttl)


async def _by_addresses(resolver: dns.asyncresolver.Resolver, address: NodeAddress) -> Located:
    addresses, ttl = await _a(resolver, address.host)
    candidates = from_addresses(address.transport, address.port, addresses[:MAX_NODES])
    return Located(candidates, ttl, decided=bool(candidates))


async def _hosts_file(host: str) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except OSError:
        return []
    return [str(entry[4][0]) for entry in found]


async def _query(
    resolver: dns.asyncresolver.Resolver, name: str, kind: dns.rdatatype.RdataType
) -> dns.resolver.Answer | None:
    """None when there is no such name or nothing of that kind. LookupFailed."""
    try:
        return await resolver.resolve(name, kind, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    except dns.resolver.LifetimeTimeout:
        raise LookupFailed("no name server answers") from None
    except (dns.exception.DNSException, OSError) as error:
        raise LookupFailed(f"the name servers give no usable answer ({type(error).__name__})") from None


async def _srv(resolver: dns.asyncresolver.Resolver, name: str) -> tuple[list[SrvRecord], float] | None:
    answer = await _query(resolver, name, dns.rdatatype.SRV)
    if answer is None or answer.rrset is None:
        return None
    records = [SrvRecord(each.priority, each.weight, each.port, each.target.to_text()) for each in answer.rrset]
    records = [record for record in records if record.port]
    return sorted(records)[:MAX_NODES], answer.chaining_result.minimum_ttl


async def _a(resolver: dns.asyncresolver.Resolver, name: str) -> tuple[list[str], float]:
    """Addresses of single hosts only; none, for as short as may be, when there is no such name."""
    answer = await _query(resolver, name, dns.rdatatype.A)
    if answer is None or answer.rrset is None:
        return [], 0.0
    addresses = sorted(ipaddress.IPv4Address(each.address) for each in answer.rrset)
    usable = [str(each) for each in addresses if not (each.is_unspecified or each.is_multicast or each.is_reserved)]
    return usable, answer.chaining_result.minimum_ttl
