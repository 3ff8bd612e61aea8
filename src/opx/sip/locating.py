"""Choosing among the servers behind a name (RFC 3263), once DNS has said which there are."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from opx.sip.flow import Destination

SIP_PORT = 5060
NEXT_SERVER_STATUSES = frozenset((500, 502, 503, 504))
"""Refusals that another server of the same name may not share (RFC 3263 section 4.3 names 503)."""
NO_WEIGHT = 0.01
"""What a weight of 0 counts beside others: "a very small chance of being selected" (RFC 2782)."""


class SrvRecord(NamedTuple):
    """An SRV record (RFC 2782); lower priorities are tried first."""

    priority: int
    weight: int
    port: int
    target: str


class Candidate(NamedTuple):
    """One server. Those of the same priority share the load as their weights say."""

    destination: Destination
    priority: int = 0
    weight: int = 0


def srv_name(name: str, transport: str) -> str:
    """Where the SRV records of a SIP domain stand (RFC 3263 section 4.1)."""
    return f"_sip._{transport.lower()}.{name}"


def from_srv(
    transport: str, records: Iterable[SrvRecord], addresses: Mapping[str, Sequence[str]]
) -> tuple[Candidate, ...]:
    """The servers of SRV records, `addresses` being those of each target. A target "." says that there is none."""
    return tuple(
        Candidate(Destination(transport, address, record.port), record.priority, record.weight)
        for record in records
        if record.target not in ("", ".")
        for address in addresses.get(record.target, ())
    )


def from_addresses(transport: str, port: int | None, addresses: Iterable[str]) -> tuple[Candidate, ...]:
    """The servers of a name that has addresses only."""
    return tuple(Candidate(Destination(transport, address, port or SIP_PORT)) for address in addresses)


def race(candidate: Candidate, key: int) -> float:
    """Sorts candidates of one priority: the lowest comes first, as often as the weights say (RFC 2782).

    The same for the same `key` each time, so that a client comes back to its server, and one that is gone moves only
    its own clients.
    """
    digest = hashlib.blake2b(f"{key} {candidate.destination}".encode(), digest_size=8).digest()
    chance = (int.from_bytes(digest) + 1) / (2**64 + 1)
    return -math.log(chance) / (candidate.weight or NO_WEIGHT)


def in_order(candidates: Iterable[Candidate], key: int) -> list[Candidate]:
    """In the order in which the client `key` tries them."""
    return sorted(candidates, key=lambda each: (each.priority, race(each, key)))
