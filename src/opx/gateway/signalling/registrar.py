"""The registrar of the set side (RFC 3261 section 10.3) with gapped registration.

Sets register often, so that the way to them stays open; the ICP hears of it seldom. The first REGISTER of a set waits
for the ICP's word, later ones are answered here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.admission import Admission
from opx.gateway.signalling.alg import AlgWatch
from opx.gateway.signalling.bindings import BindingTable, LiveBinding
from opx.gateway.signalling.directory import Directory
from opx.gateway.signalling.icp_registrations import IcpRegistrations
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.licences import Licences
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.address import NameAddr
from opx.sip.agent import new_tag
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Flow, host_port
from opx.sip.message import Request, Response
from opx.sip.registration import (
    RegistrationResult,
    RegistrationState,
    bounded_expires,
    own_expires,
    requested_expires,
)
from opx.sip.timers import Timer, TimerWheel
from opx.sip.transactions import ServerTransaction

MAX_USER_AGENT = 200
"""Characters that are kept of a set's User-Agent."""


@dataclass(frozen=True, slots=True)
class RegistrarPolicy:
    """Seconds."""

    min_expires: int = 60
    default_expires: int = 120
    max_expires: int = 300
    icp_patience: float = 20.0
    """How long a set waits for the ICP's word."""
    retry_after: int = 30
    licence_retry_after: int = 300


class BindingStore(Protocol):
    """Takes note of bindings so that they survive a restart; never waits."""

    def save(self, binding: LiveBinding) -> None: ...
    def delete(self, binding: LiveBinding) -> None: ...


@dataclass(slots=True, eq=False)
class _Wanted:
    """What an authenticated REGISTER asks for."""

    device: DeviceRecord
    transaction: ServerTransaction
    contact: NameAddr
    expires: int
    said: str
    """The header's value where this is its only contact, else ""."""
    timer: Timer | None = field(default=None)


class Registrar:
    """Answers REGISTER on the set side; keeps bindings, licences and the ICP registrations in step."""

    def __init__(
        self,
        *,
        admission: Admission,
        directory: Directory,
        links: Callable[[int], IcpLink | None],
        icps: IcpRegistrations,
        licences: Licences,
        timeline: Timeline,
        wheel: TimerWheel,
        policy: RegistrarPolicy,
        store: BindingStore,
        alg: AlgWatch,
        contacts_per_device: int = 1,
        on_bound: Callable[[LiveBinding], None] = lambda binding: None,
        on_refreshed: Callable[[LiveBinding], None] = lambda binding: None,
        on_gone: Callable[[int], None] = lambda device_id: None,
    ) -> None:
        self._admission = admission
        self._directory = directory
        self._links = links
        self._icps = icps
        self.licences = licences
        self._timeline = timeline
        self._wheel = wheel
        self._policy = policy
        self._store = store
        self._alg = alg
        self._on_bound = on_bound
        self._on_refreshed = on_refreshed
        self._on_gone = on_gone
        self.bindings = BindingTable(wheel, contacts_per_device, self._on_lapsed)
        self._waiting: dict[int, list[_Wanted]] = {}

    def take_policy(self, policy: RegistrarPolicy) -> None:
        """From the next registration on."""
        self._policy = policy

    # --- from the set side

    def on_register(self, transaction: ServerTransaction) -> None:
        self._alg.registering(transaction.request, transaction.flow)
        device = self._admission.admit(transaction, proxy=False)
        if device is None:
            return
        request = transaction.request
        try:
            self._register(transaction, device, request)
        except RemoteProtocolError as error:
            self._timeline.add(device.id, Kind.REFUSAL, f"REGISTER refused: {error}", once=True)
            transaction.reply(error.status, to_tag=new_tag())

    def _register(self, transaction: ServerTransaction, device: DeviceRecord, request: Request) -> None:
        if request.contact_star:
            if request.expires != 0:
                raise RemoteProtocolError("a Contact of * goes with an Expires of 0")
            self._unregister(device, self.bindings.of(device.id))
            self._answer(transaction, device.id)
            return
        contacts = request.contacts
        if not contacts:
            self._answer(transaction, device.id)
            return
        for old in self.bindings.of(device.id):
            if old.call_id == request.call_id and request.cseq.number <= old.cseq:
                raise RemoteProtocolError("CSeq went backwards", status=500)
        said = (request.get("contact") or "") if len(contacts) == 1 else ""
        wanted = None
        for contact in contacts:
            expires = requested_expires(contact, request, self._policy.default_expires, self._policy.max_expires)
            if expires == 0:
                instance = contact.param("+sip.instance") or ""
                gone = [b for b in self.bindings.of(device.id) if b.same_phone(instance, str(contact.uri))]
                self._unregister(device, gone)
            elif wanted is None:
                wanted = _Wanted(device, transaction, contact, expires, said)
        if wanted is None:
            self._answer(transaction, device.id)
        elif wanted.expires < self._policy.min_expires:
            response = request.reply(423, to_tag=new_tag())
            response.add("min-expires", str(self._policy.min_expires))
            transaction.respond(response)
        else:
            self._bind_or_wait(wanted)

    def _bind_or_wait(self, wanted: _Wanted) -> None:
        device = wanted.device
        link = self._links(device.icp_id)
        if not self.licences.take(device.id):
            self._timeline.add(
                device.id,
                Kind.REFUSAL,
                f"registration refused: all {self.licences.total} teleworker licences are in use",
                once=True,
            )
            self._refuse(wanted.transaction, 503, self._policy.licence_retry_after)
        elif self._icps.registered(device.id):
            self._bind(wanted)
        elif link is None or not link.available:
            name = link.record.name if link else "?"
            self._timeline.add(device.id, Kind.REFUSAL, f"registration refused: ICP {name} does not answer", once=True)
            self._refuse(wanted.transaction, 503, link.retry_after if link else self._policy.retry_after)
            self._release(device.id)
        elif self._icps.refused(device.id):
            self._refuse_for_icp(wanted, link)
            self._release(device.id)
        elif wait := self._icps.wait(device.id):
            text = f"registration refused: ICP {link.record.name} asked to wait"
            self._timeline.add(device.id, Kind.REFUSAL, text, once=True)
            self._refuse(wanted.transaction, 503, wait)
            self._release(device.id)
        else:
            self._waiting.setdefault(device.id, []).append(wanted)
            wanted.timer = self._wheel.schedule(self._policy.icp_patience, lambda: self._on_patience_over(wanted))
            self._icps.ensure(device, link)

    # --- from the ICP side

    def on_icp_result(self, device_id: int, result: RegistrationResult) -> None:
        """An attempt to register a device at its ICP has ended."""
        waiting = self._waiting.pop(device_id, [])
        for wanted in waiting:
            if wanted.timer is not None:
                wanted.timer.cancel()
        device = self._directory.device(device_id)
        link = self._links(device.icp_id) if device else None
        if device is None or link is None:
            return
        if result.state is RegistrationState.REGISTERED:
            for wanted in waiting:
                self._bind(wanted)
            return
        if result.state is RegistrationState.UNREACHABLE:
            text = f"ICP {link.record.name} did not accept the registration: "
            text += f"it answered {result.status}" if result.status else "no answer"
            self._timeline.add(device_id, Kind.ICP, text, once=True)
            for wanted in waiting:
                self._refuse(wanted.transaction, 503, max(link.retry_after, self._icps.wait(device_id)))
        else:
            text = f"ICP {link.record.name} refused the ICP-side credentials ({result.status})"
            self._timeline.add(device_id, Kind.ICP, text, once=True)
            for wanted in waiting:
                self._refuse_for_icp(wanted, link)
        self._release(device_id)

    def _refuse_for_icp(self, wanted: _Wanted, link: IcpLink) -> None:
        # 401 or 403 would tell the set that its own password is wrong, and some would stop trying for good.
        self._timeline.add(
            wanted.device.id,
            Kind.REFUSAL,
            f"registration refused: ICP {link.record.name} does not accept the ICP-side credentials",
            once=True,
        )
        self._refuse(wanted.transaction, 503, self._policy.licence_retry_after)

    def _on_patience_over(self, wanted: _Wanted) -> None:
        waiting = self._waiting.get(wanted.device.id, [])
        if wanted in waiting:
            waiting.remove(wanted)
            link = self._links(wanted.device.icp_id)
            self._refuse(wanted.transaction, 503, link.retry_after if link else self._policy.retry_after)
            if not waiting:
                del self._waiting[wanted.device.id]
                self._release(wanted.device.id)

    # --- bindings

    def _bind(self, wanted: _Wanted) -> None:
        request = wanted.transaction.request
        device = wanted.device
        now = self._wheel.now
        binding = LiveBinding(
            device_id=device.id,
            contact=str(wanted.contact.uri),
            instance=wanted.contact.param("+sip.instance") or "",
            flow=wanted.transaction.flow,
            call_id=request.call_id,
            cseq=request.cseq.number,
            user_agent=(request.get("user-agent") or "")[:MAX_USER_AGENT],
            registered_at=now,
            expires_at=now + wanted.expires,
            said=wanted.said,
            asked=own_expires(wanted.contact),
        )
        change = self.bindings.put(binding)
        where = host_port(binding.flow.remote)
        for old in change.removed:
            self._store.delete(old)
            self._timeline.add(device.id, Kind.REGISTRATION, f"{host_port(old.flow.remote)} replaced by {where}")
        if change.fresh:
            self._timeline.add(device.id, Kind.REGISTRATION, f"registered from {where} over {binding.flow.transport}")
        elif change.moved:
            self._timeline.add(device.id, Kind.REGISTRATION, f"moved to {where}")
        self._alg.bound(device.id, binding.flow, change)
        self._store.save(binding)
        self._on_bound(binding)
        self._answer(wanted.transaction, device.id)

    # --- for `quick_register`: what nearly every REGISTER comes to

    def refreshable(self, device_id: int, flow: Flow, said: str, call_id: str, cseq: int) -> LiveBinding | None:
        """The binding that a REGISTER with `said` as its Contact merely prolongs, None where there is more to it."""
        held = self.bindings.of(device_id)
        if len(held) != 1:
            return None
        binding = held[0]
        if binding.said != said or not said or binding.flow != flow or not binding.open:
            return None
        if binding.call_id == call_id and cseq <= binding.cseq:
            return None
        ready = self.licences.holds(device_id) and self._icps.registered(device_id)
        return binding if ready else None

    def granted(self, binding: LiveBinding, expires: int | None) -> int:
        """Seconds that a refresh gets, with `expires` in its header; 0 where it is to be refused or ends."""
        asked = expires if binding.asked is None else binding.asked
        seconds = bounded_expires(asked, self._policy.default_expires, self._policy.max_expires)
        return seconds if seconds >= self._policy.min_expires else 0

    def refresh(self, binding: LiveBinding, call_id: str, cseq: int, user_agent: str, expires: int) -> None:
        """Prolong a binding; credentials and all else have been looked at."""
        binding.call_id, binding.cseq, binding.user_agent = call_id, cseq, user_agent[:MAX_USER_AGENT]
        self.bindings.refresh(binding, expires)
        self._store.save(binding)
        self._on_refreshed(binding)

    def restore(self, binding: LiveBinding) -> None:
        """Take back a binding of before a restart."""
        if self.licences.take(binding.device_id):
            self.bindings.put(binding)
            self._on_bound(binding)

    def drop(self, device_id: int, why: str) -> None:
        """A device was removed, disabled, or given other credentials: it has to come anew."""
        self._icps.pardon(device_id)
        held = list(self.bindings.of(device_id))
        for binding in held:
            self.bindings.remove(binding)
            self._store.delete(binding)
        self._icps.drop(device_id)
        self.licences.release(device_id)
        self._on_gone(device_id)
        if held:
            self._timeline.add(device_id, Kind.REGISTRATION, f"no longer registered: {why}")

    def idle(self, binding: LiveBinding) -> None:
        """Nothing was heard of a phone for longer than the idle limit."""
        self.bindings.remove(binding)
        self._gone(binding, "nothing was heard of it for too long")

    def _on_lapsed(self, binding: LiveBinding) -> None:
        self._gone(binding, "its registration was not refreshed")

    def _unregister(self, device: DeviceRecord, bindings: list[LiveBinding]) -> None:
        for binding in list(bindings):
            self.bindings.remove(binding)
            self._gone(binding, "the phone signed off")

    def _gone(self, binding: LiveBinding, why: str) -> None:
        self._store.delete(binding)
        where = host_port(binding.flow.remote)
        self._timeline.add(binding.device_id, Kind.REGISTRATION, f"{where} is no longer registered: {why}")
        if not self.bindings.of(binding.device_id):
            self._icps.drop(binding.device_id)
            self.licences.release(binding.device_id)
            self._on_gone(binding.device_id)

    def _release(self, device_id: int) -> None:
        """A device that could not be bound gives back what it had taken, unless it is bound from before."""
        if not self.bindings.of(device_id) and device_id not in self._waiting:
            self.licences.release(device_id)
            self._icps.abandon(device_id)

    # --- answers

    def _answer(self, transaction: ServerTransaction, device_id: int) -> None:
        response = transaction.request.reply(200, to_tag=new_tag())
        for binding in self.bindings.of(device_id):
            remaining = max(0, round(binding.expires_at - self._wheel.now))
            response.add("contact", f"<{binding.contact}>;expires={remaining}")
        transaction.respond(response)

    def _refuse(self, transaction: ServerTransaction, status: int, retry_after: int) -> None:
        response: Response = transaction.request.reply(status, to_tag=new_tag())
        response.add("retry-after", str(retry_after))
        transaction.respond(response)
