"""Recognises home routers that rewrite SIP (an "ALG"), a common reason why a phone at home half works.

A phone behind NAT names private addresses until somebody tells it its public one. What it says in the first REGISTER
of a flow it says untold by us: our answers tell it, by `received` and `rport` (RFC 3581). So only that message is
looked at, and at a call what the description adds. Anything found goes once per binding to the device's timeline;
nothing is ever refused for it.

Proof, for no phone does it by itself:

- Via shows address and port that the request came from, Contact a private address. A phone that was told takes it into
  Contact first, since that is what it is reached by.

Hints, for a phone could know its public address by STUN or from its own settings:

- Via shows the address that the request came from with another port, Contact a private address;
- Contact shows address and port that the request came from, Via a private address;
- Via and Contact both do, and Call-ID ends in a private address;
- the description's `c=` line shows the address that the INVITE came from, Via and Contact private ones, and the phone
  lists no ICE candidates, which it would have gathered by STUN.

No evidence: a phone at a public address (nothing private is left in its message); one that comes back with the public
address it was told before (on the old flow, or with another port than that of the new one); a Contact with the public
address and another port, as settings and STUN through a symmetric NAT make it; a source that is private itself. A
router that rewrites everything without a slip cannot be told from a phone without NAT, and does no harm either.
"""

import ipaddress
from dataclasses import dataclass

from opx.gateway.signalling.bindings import Change
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Address, Flow, host_port
from opx.sip.message import Request
from opx.sip.remembering import remembered

MAX_FLOWS = 100_000
"""Flows whose first REGISTER is remembered; beyond it the oldest are forgotten, and with them only findings."""
DEFAULT_PORT = 5060
PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("fc00::/7", "fe80::/10"),
    )
)
"""RFC 1918, RFC 3927, RFC 6598, RFC 4193, RFC 4291: what stands behind NAT."""
REMEDY = "switch SIP ALG off in the router, or use TCP or another port"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a message shows; `proof` as the module says."""

    proof: bool
    shows: str
    follows: bool = True
    """Whether it names the very port of the flow, which a phone that was told on another flow does not know."""

    @property
    def text(self) -> str:
        """For a timeline."""
        if self.proof:
            return f"its home router rewrites SIP (ALG): {self.shows}; {REMEDY}"
        return (
            f"its home router seems to rewrite SIP (ALG): {self.shows}; "
            f"unless the phone uses STUN or was given that address, {REMEDY}"
        )


@dataclass(slots=True)
class _First:
    """The first REGISTER of a flow. One with credentials comes from a phone that was told before."""

    finding: Finding
    untold: bool
    named: bool = False


class AlgWatch:
    """Looks at what comes from the set side; costs a look-up per REGISTER once a flow is known."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._first: dict[Flow, _First | None] = {}

    def registering(self, request: Request, flow: Flow) -> None:
        """A REGISTER has come; nobody knows yet whether it may."""
        if flow in self._first:
            return
        finding = in_registration(request, flow.remote)
        self._note(flow, _First(finding, request.get("authorization") is None) if finding else None)

    def knows(self, flow: Flow) -> bool:
        """Whether a REGISTER has come this way before."""
        return flow in self._first

    def bound(self, device_id: int, flow: Flow, change: Change) -> None:
        """A device was bound to `flow`. Only a place that is new to it can be a finding."""
        first = self._first.get(flow)
        if first is None:
            return
        elsewhere = change.moved or (bool(change.removed) and all(old.flow != flow for old in change.removed))
        if (elsewhere and first.finding.follows) or (change.fresh and first.untold):
            first.named = True
            self._timeline.add(device_id, Kind.REGISTRATION, first.finding.text, once=True)

    def calling(self, device_id: int, request: Request, flow: Flow) -> None:
        """An INVITE of a device that has proved who it is."""
        first = self._first.get(flow)
        if first is not None and first.named:
            return
        finding = in_description(request, flow.remote)
        if finding is not None:
            self._note(flow, _First(finding, untold=False, named=True))
            self._timeline.add(device_id, Kind.REGISTRATION, finding.text, once=True)

    def _note(self, flow: Flow, first: _First | None) -> None:
        if len(self._first) >= MAX_FLOWS and flow not in self._first:
            del self._first[next(iter(self._first))]
        self._first[flow] = first


def in_registration(request: Request, source: Address) -> Finding | None:
    """What the first REGISTER from `source` shows. None also for one that cannot be read."""
    # Few messages name where they come from; the others cost two searches.
    sent_by = (request.get("via") or "").partition(";")[0]
    if source[0] not in sent_by and source[0] not in (request.get("contact") or ""):
        return None
    try:
        via: Address = (request.via.host, request.via.port or DEFAULT_PORT)
        contacts = request.contacts
        if not contacts or is_private(source[0]):
            return None
        uri = contacts[0].uri
        contact: Address = (uri.host, uri.port or DEFAULT_PORT)
        call_id = request.call_id.rpartition("@")[2]
    except RemoteProtocolError:
        return None
    public = f"the public address {host_port(source)}"
    if via == source and is_private(contact[0]):
        return Finding(True, f"Via shows {public} but Contact the private {contact[0]}")
    if via[0] == source[0] and is_private(contact[0]):
        shows = f"Via shows the public address {host_port(via)} but Contact the private {contact[0]}"
        return Finding(False, shows, follows=False)
    if contact == source and is_private(via[0]):
        return Finding(False, f"Contact shows {public} but Via the private {via[0]}")
    if via == contact == source and is_private(call_id):
        return Finding(False, f"Via and Contact show {public} but Call-ID the private {call_id}")
    return None


def in_description(request: Request, source: Address) -> Finding | None:
    """What an INVITE's description shows. None also for one that cannot be read."""
    lines = request.body.splitlines()
    if f"c=IN IP4 {source[0]}".encode() not in lines or any(line.startswith(b"a=candidate:") for line in lines):
        return None
    try:
        via, contacts = request.via.host, request.contacts
        contact = contacts[0].uri.host if contacts else ""
    except RemoteProtocolError:
        return None
    if is_private(source[0]) or not (is_private(via) and is_private(contact)):
        return None
    shows = f"the description shows the public address {source[0]} but Via and Contact the private {contact}"
    return Finding(False, shows)


@remembered
def is_private(host: str) -> bool:
    """Whether a host is an address that is used behind NAT."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in PRIVATE)
