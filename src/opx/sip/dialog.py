"""Dialogs (RFC 3261 section 12): what two user agents remember of each other between transactions."""

from dataclasses import replace

from opx.sip.address import NameAddr
from opx.sip.errors import RemoteProtocolError
from opx.sip.message import Request, Response
from opx.sip.uri import Uri

DialogId = tuple[str, str, str]
"""Call-ID, local tag, remote tag."""

MAX_FORWARDS = "70"


class Dialog:
    """One dialog seen from our end. Made by `as_client` or `as_server`; `request` builds what follows in it."""

    __slots__ = (
        "call_id",
        "local",
        "local_contact",
        "local_seq",
        "local_tag",
        "remote",
        "remote_seq",
        "remote_tag",
        "remote_target",
        "request_uri",
        "route_set",
    )

    def __init__(
        self,
        *,
        call_id: str,
        local: str,
        remote: str,
        local_tag: str,
        remote_tag: str,
        local_contact: str,
        remote_target: str,
        route_set: list[str],
        local_seq: int,
        remote_seq: int | None,
        request_uri: str = "",
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.local_contact = local_contact
        self.remote_target = remote_target
        self.route_set = route_set
        self.local_seq = local_seq
        self.remote_seq = remote_seq
        self.request_uri = request_uri
        """Whom the peer's request that made the dialog was for, "" for one of ours."""

    @property
    def id(self) -> DialogId:
        return (self.call_id, self.local_tag, self.remote_tag)

    @classmethod
    def as_client(cls, request: Request, response: Response, local_contact: str) -> "Dialog":
        """The dialog that a response of `request` makes (section 12.1.2). RemoteProtocolError when it can make none."""
        if not response.to_tag:
            raise RemoteProtocolError("a response that makes a dialog has a To tag")
        return cls(
            call_id=request.call_id,
            local=request.get("from") or "",
            remote=response.get("to") or "",
            local_tag=request.from_tag,
            remote_tag=response.to_tag,
            local_contact=local_contact,
            remote_target=contact_of(response) or request.uri,
            route_set=_routes_of(response)[::-1],
            local_seq=request.cseq.number,
            remote_seq=None,
        )

    @classmethod
    def as_asked(cls, request: Request, response: Response, local_contact: str) -> "Dialog":
        """The dialog with whoever answered `request` where that was sent, for a response whose Contact or Record-Route
        cannot be read: good for ending it. The response has a To tag."""
        return cls(
            call_id=request.call_id,
            local=request.get("from") or "",
            remote=response.get("to") or "",
            local_tag=request.from_tag,
            remote_tag=response.to_tag,
            local_contact=local_contact,
            remote_target=request.uri,
            route_set=[],
            local_seq=request.cseq.number,
            remote_seq=None,
        )

    @classmethod
    def as_server(cls, request: Request, local_tag: str, local_contact: str) -> "Dialog":
        """The dialog that answering `request` makes (section 12.1.1). RemoteProtocolError without a Contact.

        A peer of RFC 2543, whose From has no tag, need not send one; it is reached where it calls from.
        """
        target = contact_of(request)
        if not target and not request.from_tag:
            target = str(request.from_.uri)
        if not target:
            raise RemoteProtocolError("a request that makes a dialog has a Contact")
        return cls(
            call_id=request.call_id,
            local=str(request.to.with_tag(local_tag)),
            remote=request.get("from") or "",
            local_tag=local_tag,
            remote_tag=request.from_tag,
            local_contact=local_contact,
            remote_target=target,
            route_set=_routes_of(request),
            local_seq=0,
            remote_seq=request.cseq.number,
            request_uri=request.uri,
        )

    def request(self, method: str, *, cseq: int | None = None) -> Request:
        """A request within the dialog, without Via (section 12.2.1.1).

        `cseq` is given for an ACK, whose number is that of the INVITE; any other request takes the next number.
        """
        if cseq is None:
            self.local_seq += 1
            cseq = self.local_seq
        uri, routes = self._route()
        request = Request.new(method, uri)
        for route in routes:
            request.add("route", route)
        request.add("max-forwards", MAX_FORWARDS)
        request.add("from", self.local)
        request.add("to", self.remote)
        request.add("call-id", self.call_id)
        request.add("cseq", f"{cseq} {method}")
        if method not in ("BYE", "CANCEL", "ACK"):
            request.add("contact", self.local_contact)
        return request

    def _route(self) -> tuple[str, list[str]]:
        if not self.route_set:
            return self.remote_target, []
        first = NameAddr.parse(self.route_set[0]).uri
        if first.has_param("lr"):
            return self.remote_target, self.route_set
        # A strict router (RFC 2543) wants itself in the Request-URI and the target last.
        return str(first), [*self.route_set[1:], f"<{self.remote_target}>"]

    def next_hop(self) -> Uri:
        """Where a request of this dialog goes when it belongs to no flow."""
        if self.route_set:
            return NameAddr.parse(self.route_set[0]).uri
        return Uri.parse(self.remote_target)

    def accept(self, request: Request) -> None:
        """Take note of a request of the peer (section 12.2.2). RemoteProtocolError(500) when it is out of order."""
        number = request.cseq.number
        if self.remote_seq is not None and number < self.remote_seq:
            raise RemoteProtocolError("CSeq went backwards", status=500)
        self.remote_seq = number

    def confirm(self, response: Response) -> None:
        """The 2xx of an early dialog: target and route set are those that it names (sections 12.1.2 and 13.2.2.4)."""
        self.refresh_target(response)
        self.route_set = _routes_of(response)[::-1]

    def refresh_target(self, message: Request | Response) -> None:
        """A target refresh (INVITE, UPDATE) or its 2xx names where the peer is from now on."""
        target = contact_of(message)
        if target:
            self.remote_target = target


def _routes_of(message: Request | Response) -> list[str]:
    """The Record-Route values. RemoteProtocolError when one is malformed: now, and not when the call is to end."""
    routes = message.values("record-route")
    for route in routes:
        NameAddr.parse(route)
    return routes


def contact_of(message: Request | Response) -> str:
    """The URI of the Contact as a Request-URI may have it, "" when there is none or it is no single SIP address."""
    if message.get("contact") is None:
        return ""
    contacts = message.contacts
    if not contacts:
        return ""
    uri = contacts[0].uri
    return str(replace(uri, headers="") if uri.headers else uri)
