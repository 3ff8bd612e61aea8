"""Subscriptions of the sets: whether one may be made, where it goes, and what ends it."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.admission import Admission
from opx.gateway.signalling.aliases import DialogAliases
from opx.gateway.signalling.allowance import Allowance
from opx.gateway.signalling.answers import refuse
from opx.gateway.signalling.bindings import BindingTable, LiveBinding
from opx.gateway.signalling.bodies import PACKAGES, OutsideNames, translator
from opx.gateway.signalling.icp_registrations import icp_contact
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.identity import domain_of, name_addr, number_of
from opx.gateway.signalling.inside import InsideNames
from opx.gateway.signalling.legs import set_contact
from opx.gateway.signalling.nodes import Node
from opx.gateway.signalling.relayed_subscription import RelayedSubscription, RenewalPolicy
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import UserAgent
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Flow
from opx.sip.message import Request
from opx.sip.notifier import ExpiresBounds, Notifier
from opx.sip.subscriber import Subscriber, SubscriberEvent, SubscriberPolicy
from opx.sip.subscription import EventType, Reason
from opx.sip.transactions import ServerTransaction

Key = tuple[str, str, str, str]
"""What tells a device's subscriptions apart: package, id, whom it is about, and the phone where there are several."""


@dataclass(frozen=True, slots=True)
class SubscriptionPolicy:
    """`packages` are those of `bodies.PACKAGES` that are open; times in seconds."""

    packages: tuple[str, ...] = PACKAGES
    expires: ExpiresBounds = field(default_factory=lambda: ExpiresBounds(60, 600, 1800))
    """What a set is granted. Its lamps are dark from a crash of the gateway until its next refresh, so not too long."""
    icp_expires: int = 3600
    limit: int = 20_000
    per_device: int = 100
    """At the same time; as many new ones may be asked for at once, and again within a minute."""
    spread: float = 50.0
    """Subscriptions a second after an ICP came back."""
    retry_after: int = 10
    renewal: RenewalPolicy = field(default_factory=RenewalPolicy)


class Subscriptions:
    """Makes subscriptions out of SUBSCRIBEs of the set side and keeps them until they end."""

    def __init__(
        self,
        *,
        set_agent: UserAgent,
        icp_agent: UserAgent,
        admission: Admission,
        bindings: BindingTable,
        links: Callable[[int], IcpLink | None],
        timeline: Timeline,
        aliases: DialogAliases,
        inside: InsideNames,
        policy: SubscriptionPolicy,
        single_contact: bool = True,
    ) -> None:
        self._set_agent = set_agent
        self._icp_agent = icp_agent
        self._admission = admission
        self._bindings = bindings
        self._links = links
        self._timeline = timeline
        self._aliases = aliases
        self._inside = inside
        self._policy = policy
        self._single_contact = single_contact
        self._allowance = Allowance(policy.per_device)
        self._of_device: dict[int, dict[Key, RelayedSubscription]] = {}
        self._keys: dict[RelayedSubscription, Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, device_id: int) -> list[RelayedSubscription]:
        return list(self._of_device.get(device_id, {}).values())

    def per_package(self) -> Counter[str]:
        """How many there are of each event package."""
        return Counter(key[0] for key in self._keys.values())

    # --- a set subscribes

    def from_set(self, transaction: ServerTransaction) -> None:
        """A SUBSCRIBE of the set side, outside any dialog."""
        device = self._admission.admit(transaction, proxy=True)
        if device is None:
            return
        try:
            self._subscribe(transaction, device)
        except RemoteProtocolError as error:
            headers = (("allow-events", ", ".join(self._policy.packages)),) if error.status == 489 else ()
            why = f"SUBSCRIBE refused: {error}"
            refuse(self._timeline, transaction, device.id, error.status, why, headers=headers)

    def _subscribe(self, transaction: ServerTransaction, device: DeviceRecord) -> None:
        request = transaction.request
        event = EventType.of(request)
        watched = number_of(request)
        what = f"subscription to {event.package} of {watched}"
        if event.package not in self._policy.packages:
            raise RemoteProtocolError(f"event package {event.package} does not pass", status=489)
        names = OutsideNames(domain_of(self._set_agent.local), device, self._inside)
        body = translator(event.package, names, self._aliases, watched)
        if not _accepts(request, body.content_type):
            raise RemoteProtocolError(f"{what}: the phone does not accept {body.content_type}", status=406)
        link = self._links(device.icp_id)
        if not self._bindings.registered_from(device.id, transaction.flow.remote[0]):
            raise RemoteProtocolError(f"{what}: the phone is not registered from there", status=403)
        if link is None or not link.available:
            retry = link.retry_after if link else self._policy.retry_after
            refuse(self._timeline, transaction, device.id, 503, f"{what}: the ICP does not answer", retry)
            return
        contact = str(request.contacts[0].uri) if request.contacts else ""
        key = (event.package, event.id, watched, "" if self._single_contact else contact)
        self._forget_earlier(device.id, key)
        full = len(self._keys) >= self._policy.limit or len(self.of(device.id)) >= self._policy.per_device
        # A phone that subscribes in a circle would have the gateway do so at the ICP.
        if full or not self._allowance.take(device.id, self._set_agent.now):
            refuse(self._timeline, transaction, device.id, 503, f"{what}: too many", self._policy.retry_after)
            return
        notifier = Notifier(
            self._set_agent,
            lambda heard: relayed.on_set(heard),
            transaction,
            contact=set_contact(self._set_agent, transaction.flow),
            bounds=self._policy.expires,
            authorize=lambda later: self._authorize(notifier, device, later),
        )
        if notifier.too_brief:
            notifier.reject_too_brief()
            return
        number = device.icp_username if watched == device.set_username else watched
        relayed = RelayedSubscription(
            what=what,
            device_id=device.id,
            contact=contact,
            link=link,
            notifier=notifier,
            body=body,
            subscribe=lambda node, listener: self._at_icp(
                device, node, event.package, number, body.content_type, notifier.once, listener
            ),
            policy=self._policy.renewal,
            on_end=self._on_end,
            on_trouble=self._on_trouble,
        )
        self._of_device.setdefault(device.id, {})[key] = relayed
        self._keys[relayed] = key
        relayed.start()

    def _at_icp(
        self,
        device: DeviceRecord,
        node: Node,
        package: str,
        number: str,
        content_type: str,
        once: bool,
        listener: Callable[[SubscriberEvent], None],
    ) -> Subscriber:
        return Subscriber(
            self._icp_agent,
            listener,
            node.destination,
            uri=f"sip:{number}@{node.domain}{node.transport_param}",
            from_=name_addr("", device.icp_username, node.domain),
            to=name_addr("", number, node.domain),
            contact=icp_contact(device, node, self._icp_agent),
            event=EventType(package),
            accept=(content_type,),
            credentials=DigestClient(device.icp_username, device.icp_password),
            policy=SubscriberPolicy(0 if once else self._policy.icp_expires),
        )

    def _forget_earlier(self, device_id: int, key: Key) -> None:
        """A phone that restarted subscribes anew and knows nothing of its subscriptions of before."""
        earlier = self._of_device.get(device_id, {}).get(key)
        if earlier is not None:
            earlier.end(None)

    def _authorize(self, notifier: Notifier, device: DeviceRecord, transaction: ServerTransaction) -> bool:
        """A refresh comes from where the set is; from anywhere else it needs the set's credentials."""
        if not self._admission.admit_within(transaction, device.id, notifier.route):
            return False
        notifier.route = transaction.flow
        return True

    # --- while they last

    def moved(self, binding: LiveBinding) -> None:
        """A set registered, perhaps from a new place: its notifications follow it there."""
        for relayed in self.of(binding.device_id):
            if (self._single_contact or relayed.contact == binding.contact) and relayed.notifier.route != binding.flow:
                relayed.notifier.route = binding.flow

    def connection_lost(self, device_id: int, flow: Flow) -> None:
        """A set's connection is gone: what there is to tell waits until it is back."""
        for relayed in self.of(device_id):
            if relayed.notifier.route == flow:
                relayed.notifier.route = None

    def rebalance(self, link: IcpLink, recovered: Node | None) -> None:
        """Other nodes of an ICP may serve than before: what is not at its best one is moved, with the load spread.

        What is at a node that came back is asked for again: that may have forgotten everything.
        """
        position = 0
        for relayed in [relayed for relayed in self._keys if relayed.link is link]:
            best = link.best(relayed.device_id)
            if best is not None and (relayed.node is not best or relayed.node is recovered):
                relayed.renew(position / self._policy.spread, moved=relayed.node is not best)
                position += 1

    # --- what ends them

    def drop(self, device_id: int, reason: Reason | None = None) -> None:
        """A device is gone. With a reason its phone is told; without one there is no way to it."""
        for relayed in self.of(device_id):
            relayed.end(reason)

    def forget(self, device_id: int) -> None:
        """A device was removed."""
        self._allowance.forget(device_id)

    def stop(self) -> None:
        """The gateway is stopped: the sets are told to come again in a while, not all at once."""
        for number, relayed in enumerate(list(self._keys), 1):
            least = 10 + int(number / self._policy.spread)
            relayed.end(Reason.PROBATION, random.randint(least, least + 20))

    def _on_end(self, relayed: RelayedSubscription, text: str) -> None:
        key = self._keys.pop(relayed)
        held = self._of_device[relayed.device_id]
        del held[key]
        if not held:
            del self._of_device[relayed.device_id]
        if text:
            self._timeline.add(relayed.device_id, Kind.SUBSCRIPTION, text, once=True)

    def _on_trouble(self, relayed: RelayedSubscription, text: str) -> None:
        self._timeline.add(relayed.device_id, Kind.SUBSCRIPTION, text, once=True)


def _accepts(request: Request, content_type: str) -> bool:
    """Whether a SUBSCRIBE takes bodies of that type; without Accept it takes its package's own (RFC 6665 8.1.1)."""
    accepted = [value.partition(";")[0].strip().lower() for value in request.values("accept")]
    return not accepted or any(value in (content_type, "*/*", "application/*") for value in accepted)
