"""A session's dialog and the way that its requests take: what the parts of a session share (RFC 5057)."""

from collections.abc import Callable

from opx.sip.agent import DialogUser, UserAgent
from opx.sip.answering import attach_sdp
from opx.sip.dialog import Dialog
from opx.sip.digest import DigestClient
from opx.sip.errors import LocalProtocolError
from opx.sip.exchange import Exchange, Outcome, route_within
from opx.sip.flow import Destination, Flow
from opx.sip.grammar import holds_token
from opx.sip.message import Request, Response


class DialogUsage:
    """See the module. `dialog` is None until there is one."""

    __slots__ = ("_allow", "_open", "_supported", "agent", "contact", "credentials", "dialog", "invite", "route")

    def __init__(
        self, agent: UserAgent, route: Flow | Destination, contact: str, credentials: DigestClient | None
    ) -> None:
        self.agent = agent
        self.route = route
        """A flow when requests may go nowhere else (a set); a destination when the dialog decides (an ICP)."""
        self.contact = contact
        self.credentials = credentials
        self.dialog: Dialog | None = None
        self.invite: Request | None = None
        """The INVITE whose 2xx is still to be acknowledged."""
        self._allow: list[str] = []
        self._supported: list[str] = []
        self._open: list[Dialog] = []

    def open(self, dialog: Dialog, user: DialogUser) -> None:
        """Make it the session's dialog; `user` hears of what comes in it, and in those opened before."""
        self.dialog = dialog
        if dialog not in self._open:
            self._open.append(dialog)
            self.agent.open_dialog(dialog, user)

    def close(self, but: Dialog | None = None) -> None:
        """Hear no more of all dialogs, `but` one."""
        for dialog in self._open:
            if dialog is not but:
                self.agent.close_dialog(dialog)
        self._open = [but] if but is not None else []

    def hear(self, message: Request | Response) -> None:
        """Take note of what the peer says that it can do."""
        if allow := message.get_all("allow"):
            self._allow = allow
        if supported := message.get_all("supported"):
            self._supported = supported

    def peer_allows(self, method: str) -> bool | None:
        """Whether the peer takes requests of that method; None when it never said which it takes."""
        return holds_token(self._allow, method) if self._allow else None

    def peer_supports(self, option: str) -> bool:
        """Whether the peer named an option tag in Supported."""
        return holds_token(self._supported, option)

    def need(self) -> Dialog:
        if self.dialog is None:
            raise LocalProtocolError("the session has no dialog yet")
        return self.dialog

    def send(
        self,
        request: Request,
        on_final: Callable[[Outcome], None],
        dialog: Dialog | None = None,
    ) -> Exchange:
        """Send a request within the session's dialog, or within one of its early dialogs."""
        inside = dialog or self.need()
        if request.method == "INVITE":
            self.invite = request

        def next_cseq() -> int:
            inside.local_seq += 1
            return inside.local_seq

        return self.agent.exchange(
            request,
            route_within(inside, self.route, self.agent.flows),
            on_final,
            credentials=self.credentials,
            next_cseq=next_cseq,
        )

    def way(self, dialog: Dialog | None = None) -> Flow | None:
        """The flow that a request outside of any transaction takes, such as an ACK."""
        route = route_within(dialog or self.need(), self.route, self.agent.flows)
        return route if isinstance(route, Flow) else self.agent.flows.flow_to(route)

    def send_ack(self, number: int, sdp: bytes) -> "tuple[Flow, bytes] | None":
        """Acknowledge a 2xx; returns what was sent, for repeats. None when there is no way to the peer."""
        ack = self.need().request("ACK", cseq=number)
        if self.invite is not None:
            vouch(ack, self.invite)
            self.invite = None
        attach_sdp(ack, sdp)
        flow = self.way()
        return (flow, self.agent.layer.send_ack(ack, flow)) if flow is not None else None


def vouch(ack: Request, invite: Request) -> None:
    """The ACK of a 2xx cannot be challenged, and so repeats the credentials of its INVITE (RFC 3261 section 22.1)."""
    for name in ("authorization", "proxy-authorization"):
        for value in invite.get_all(name):
            ack.add(name, value)
