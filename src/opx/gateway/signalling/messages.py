"""Text messages (MESSAGE, RFC 3428) both ways, each a request of its own on either side."""

from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.admission import Admission
from opx.gateway.signalling.allowance import Allowance
from opx.gateway.signalling.answers import answer, refuse, status_for_icp, status_for_set
from opx.gateway.signalling.bindings import BindingTable
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.identity import caller_of, name_addr, number_of
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.dialog import MAX_FORWARDS
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import VIA_ALLOWANCE, Outcome
from opx.sip.flow import host_port
from opx.sip.grammar import is_token, param_of, parse_params
from opx.sip.message import Request, Response
from opx.sip.transactions import ServerTransaction

TEXT = "text/plain"
"""The one type that passes: markup could name places of the inside, message/cpim carries addresses in its head."""

MAX_MESSAGE = 1300
"""Bytes of a request as it goes on; RFC 3428 section 8 has no larger one outside a session."""


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """`per_minute` messages of one device pass, and as many at once."""

    per_minute: int = 30
    retry_after: int = 10


class Messages:
    """Relays MESSAGE requests outside dialogs."""

    def __init__(
        self,
        *,
        set_agent: UserAgent,
        icp_agent: UserAgent,
        admission: Admission,
        bindings: BindingTable,
        links: Callable[[int], IcpLink | None],
        timeline: Timeline,
        policy: MessagePolicy,
    ) -> None:
        self._set_agent = set_agent
        self._icp_agent = icp_agent
        self._admission = admission
        self._bindings = bindings
        self._links = links
        self._timeline = timeline
        self._policy = policy
        self._allowance = Allowance(policy.per_minute)

    def from_set(self, transaction: ServerTransaction) -> None:
        """A MESSAGE of the set side."""
        device = self._admission.admit(transaction, proxy=True)
        if device is None:
            return
        try:
            self._to_icp(transaction, device)
        except RemoteProtocolError as error:
            self._refuse(transaction, device.id, error.status, f"MESSAGE refused: {error}")

    def _to_icp(self, transaction: ServerTransaction, device: DeviceRecord) -> None:
        request = transaction.request
        number = number_of(request)
        link = self._links(device.icp_id)
        if not self._bindings.registered_from(device.id, transaction.flow.remote[0]):
            raise RemoteProtocolError("the phone is not registered from there", status=403)
        node = link.best(device.id) if link else None
        if node is None:
            retry = link.retry_after if link else self._policy.retry_after
            self._refuse(transaction, device.id, 503, f"MESSAGE to {number}: the ICP does not answer", retry)
            return
        message = _message(
            f"sip:{number}@{node.domain}{node.transport_param}",
            name_addr(request.from_.display, device.icp_username, node.domain),
            name_addr("", number, node.domain),
            request,
        )
        if not self._allowance.take(device.id, self._set_agent.now):
            too_many = f"MESSAGE to {number}: too many messages"
            self._refuse(transaction, device.id, 503, too_many, self._policy.retry_after)
            return

        def on_final(outcome: Outcome) -> None:
            if isinstance(outcome, Response):
                node.answered()
            else:
                node.doubt()
            self._pass_on(transaction, device.id, f"MESSAGE to {number}", outcome, *status_for_set(outcome))

        credentials = DigestClient(device.icp_username, device.icp_password)
        self._icp_agent.exchange(message, node.destination, on_final, credentials=credentials)

    def from_icp(self, transaction: ServerTransaction, device: DeviceRecord) -> None:
        """A MESSAGE of an ICP for `device`."""
        try:
            self._to_set(transaction, device)
        except RemoteProtocolError as error:
            self._refuse(transaction, device.id, error.status, f"MESSAGE of the ICP refused: {error}")

    def _to_set(self, transaction: ServerTransaction, device: DeviceRecord) -> None:
        request = transaction.request
        display, user = caller_of(request)
        binding = self._bindings.reachable(device.id)
        if binding is None:
            raise RemoteProtocolError("the phone cannot be reached", status=480)
        domain = host_port(self._set_agent.local)
        message = _message(
            binding.contact, name_addr(display, user, domain), name_addr("", device.set_username, domain), request
        )

        def on_final(outcome: Outcome) -> None:
            self._pass_on(transaction, device.id, f"MESSAGE from {user}", outcome, *status_for_icp(outcome))

        self._set_agent.exchange(message, binding.flow, on_final)

    def _pass_on(
        self,
        transaction: ServerTransaction,
        device_id: int,
        what: str,
        outcome: Outcome,
        status: int,
        retry_after: int | None,
    ) -> None:
        if status >= 300:
            came = outcome.status if isinstance(outcome, Response) else "no answer"
            self._note(device_id, f"{what} was not delivered ({came})")
        answer(transaction, status, retry_after)

    def forget(self, device_id: int) -> None:
        """A device was removed."""
        self._allowance.forget(device_id)

    def _note(self, device_id: int, text: str) -> None:
        self._timeline.add(device_id, Kind.MESSAGE, text, once=True)

    def _refuse(
        self, transaction: ServerTransaction, device_id: int, status: int, why: str, retry_after: int | None = None
    ) -> None:
        headers = (("accept", TEXT),) if status == 415 else ()
        refuse(self._timeline, transaction, device_id, status, why, retry_after, headers)


def _text_type(request: Request) -> str:
    """The Content-Type to pass on. RemoteProtocolError for what is no short text."""
    media_type, _, text = request.content_type.partition(";")
    if media_type.strip().lower() != TEXT or request.get("content-encoding"):
        raise RemoteProtocolError(f"{media_type.strip() or 'no type'} is no {TEXT}", status=415)
    charset = param_of(parse_params(text), "charset") or ""
    return f"{TEXT};charset={charset}" if is_token(charset) else TEXT


def _message(uri: str, from_: str, to: str, received: Request) -> Request:
    """The request that goes on with the text of `received`. RemoteProtocolError when there is none that may."""
    request = Request.new("MESSAGE", uri)
    request.add("max-forwards", MAX_FORWARDS)
    request.add("from", f"{from_};tag={new_tag()}")
    request.add("to", to)
    request.add("call-id", new_call_id())
    request.add("cseq", "1 MESSAGE")
    request.add("content-type", _text_type(received))
    request.body = received.body
    if len(request.encode()) > MAX_MESSAGE - VIA_ALLOWANCE:
        raise RemoteProtocolError(f"a text of {len(request.body)} bytes is too long", status=413)
    return request
