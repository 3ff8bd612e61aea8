"""A phone that watches something at its ICP, through a gateway in memory."""

import ipaddress
from dataclasses import dataclass, field

from opx.gateway.repository import IcpRecord
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip.bodies.dialog_info import DialogInfo, Participant, WatchedDialog
from opx.sip.bodies.message_summary import CONTENT_TYPE as SUMMARY
from opx.sip.flow import Destination
from opx.sip.locating import from_addresses
from opx.sip.message import Request
from opx.sip.notifier import ExpiresBounds, Notifier, NotifierEvent
from opx.sip.replaces import DialogName
from opx.sip.subscriber import Closed, Notified, Subscriber, SubscriberEvent, SubscriberPolicy
from opx.sip.subscription import Content, EventType, State
from opx.sip.transactions import ServerTransaction
from support.site import ICP, OUTSIDE, Phone, Site

DIALOG = "application/dialog-info+xml"
INSIDE_NETWORKS = (ipaddress.IPv4Network("10.9.8.0/24"),)
POLICY = SignallingPolicy(inside_networks=INSIDE_NETWORKS)


def summary(new: int) -> Content:
    """What a voice-mail inside says."""
    text = (
        f"Messages-Waiting: {'yes' if new else 'no'}\r\nMessage-Account: sip:1001@{ICP}\r\nVoice-Message: {new}/3\r\n"
    )
    return Content(SUMMARY, text.encode())


def ringing(version: int, state: str = "early", full: bool = True) -> Content:
    """1002 rings, called from 1009; names as a PBX inside gives them."""
    dialog = WatchedDialog(
        f"call-7@{ICP}",
        state,
        DialogName(f"call-7@{ICP}", "tag-of-1002", "tag-of-1009"),
        "recipient",
        local=Participant(f"sip:1002@{ICP}", "Anna", f"sip:1002@{ICP}:5060;maddr={ICP}"),
        remote=Participant(f"sip:1009@{ICP}", "Bob", f"sip:1009@{ICP}"),
    )
    return Content(DIALOG, DialogInfo(f"sip:1002@{ICP}", version, full, (dialog,)).encode())


@dataclass
class Watching:
    """Site, phone 1 and what both ends of its subscription heard. `first` is the state that the ICP begins with."""

    policy: SignallingPolicy = POLICY
    first: Content | None = field(default_factory=lambda: summary(2))
    bounds: ExpiresBounds = field(default_factory=ExpiresBounds)
    refuse: int = 0
    devices: int = 2
    icp_host: str = ICP
    """The ICP's name in the gateway's database."""
    told: list[SubscriberEvent] = field(default_factory=list)
    heard: list[NotifierEvent] = field(default_factory=list)
    at_icp: list[Notifier] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.site = Site(self.policy, self.devices)
        if self.icp_host != ICP:
            record = IcpRecord(1, "Node 1", "MiVoice Office 250", self.icp_host, 5060, "UDP")
            self.site.signalling.replace_content([record], self.site.devices)
            (link,) = self.site.signalling.links
            link.located(link.names[0], from_addresses("UDP", 5060, [ICP]))
        self.icp_subscribes()
        self.phone = self.site.phone(1)
        self.phone.register()
        self.wire = self.site.wire
        self.wire._told = len(self.wire.log)

    def icp_subscribes(self) -> None:
        """Let the ICP, or the one that took its place, accept subscriptions."""
        self.site.icp.handlers["SUBSCRIBE"] = self._on_subscribe

    def _on_subscribe(self, transaction: ServerTransaction) -> None:
        agent = self.site.icp.node.agent
        notifier = Notifier(agent, self.heard.append, transaction, contact=f"sip:{ICP}:5060", bounds=self.bounds)
        self.at_icp.append(notifier)
        if self.refuse:
            notifier.reject(self.refuse)
            return
        notifier.accept()
        if self.first is not None:
            notifier.notify(self.first)

    def subscribe(
        self, package: str = "message-summary", whom: str = "tw1", expires: int = 600, phone: Phone | None = None
    ) -> Subscriber:
        phone = phone or self.phone
        subscriber = Subscriber(
            phone.node.agent,
            self.told.append,
            Destination("UDP", OUTSIDE, 5060),
            uri=f"sip:{whom}@{OUTSIDE}",
            from_=f"<sip:tw{phone.number}@{OUTSIDE}>",
            to=f"<sip:{whom}@{OUTSIDE}>",
            contact=phone.contact,
            event=EventType(package),
            credentials=phone.credentials,
            policy=SubscriberPolicy(expires),
        )
        subscriber.start()
        self.wire.advance(0.1)
        return subscriber

    def notify(self, content: Content, state: State = State.ACTIVE) -> None:
        self.at_icp[-1].notify(content, state)
        self.wire.deliver()

    @property
    def contents(self) -> list[Content]:
        return [event.content for event in self.told if isinstance(event, Notified)]

    @property
    def last(self) -> Content:
        return self.contents[-1]

    @property
    def closed(self) -> list[Closed]:
        return [event for event in self.told if isinstance(event, Closed)]

    def dialogs(self) -> DialogInfo:
        """The newest dialog state that the phone has."""
        return DialogInfo.parse(self.last.body)

    def requests(self, method: str, to_icp: bool) -> list[Request]:
        """What went to the ICP or to the phones."""
        return [
            carried.message
            for carried in self.wire.log
            if isinstance(carried.message, Request)
            and carried.message.method == method
            and (carried.target[0] == ICP) is to_icp
        ]

    def nothing_left(self) -> None:
        self.wire.advance(70)
        signalling = self.site.signalling
        assert len(signalling.subscriptions) == 0
        assert signalling.subscriptions._of_device == {}
        for agent in (signalling.set_agent, signalling.icp_agent, self.phone.node.agent, self.site.icp.node.agent):
            assert agent.dialogs == 0
            assert agent._expected == {}
