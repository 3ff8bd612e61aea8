"""The gateway's own registrations at the ICPs, one for each device that is registered at the gateway."""

from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.icps import IcpLink
from opx.sip.agent import UserAgent
from opx.sip.digest import DigestClient
from opx.sip.flow import host_port
from opx.sip.registration import (
    ClientRegistration,
    RegistrationPolicy,
    RegistrationResult,
    RegistrationState,
)

DEVICE_PARAM = "opx"
"""URI parameter of the Contact that we register: tells the device even where an ICP changes the user part."""


@dataclass(frozen=True, slots=True)
class SavedRegistration:
    """What a restart needs to go on with a registration; `remaining` in seconds."""

    call_id: str
    cseq: int
    remaining: float


class IcpRegistrations:
    """`on_result` hears of every attempt: device, result. `spread` is how many per second after an ICP came back."""

    def __init__(
        self,
        agent: UserAgent,
        policy: RegistrationPolicy,
        spread: float,
        on_result: Callable[[int, RegistrationResult], None],
    ) -> None:
        self._agent = agent
        self._policy = policy
        self._spread = spread
        self._on_result = on_result
        self._registrations: dict[int, ClientRegistration] = {}
        self._icp_of: dict[int, int] = {}
        self._refused_until: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._registrations)

    def of(self, device_id: int) -> ClientRegistration | None:
        return self._registrations.get(device_id)

    def registered(self, device_id: int) -> bool:
        registration = self._registrations.get(device_id)
        return registration is not None and registration.registered

    def refused(self, device_id: int) -> bool:
        """Whether the ICP refused the device's credentials lately, so that asking again could lock the account."""
        return self._refused_until.get(device_id, 0.0) > self._agent.now

    def ensure(self, device: DeviceRecord, link: IcpLink) -> None:
        """Have `device` registered at its ICP; its result comes through `on_result`, unless it stands already."""
        registration = self._registrations.get(device.id)
        if registration is None:
            registration = self._make(device, link)
        if not registration.registered and registration.state is not RegistrationState.TRYING:
            registration.start()

    def resume(self, device: DeviceRecord, link: IcpLink, saved: SavedRegistration) -> None:
        """Go on after a restart with what the ICP still has."""
        self._make(device, link, saved.call_id, saved.cseq).resume(saved.remaining)

    def drop(self, device_id: int) -> None:
        """De-register: the set is gone."""
        registration = self._registrations.pop(device_id, None)
        self._icp_of.pop(device_id, None)
        if registration is not None:
            registration.stop()

    def abandon(self, device_id: int) -> None:
        """Stop trying for a set that could not be bound."""
        registration = self._registrations.pop(device_id, None)
        self._icp_of.pop(device_id, None)
        if registration is not None:
            registration.forget()

    def pardon(self, device_id: int) -> None:
        """The device's credentials were changed: the refusal of the old ones counts no longer."""
        self._refused_until.pop(device_id, None)

    def recovered(self, link: IcpLink) -> None:
        """An ICP came back and may have forgotten everything: register all its devices again, with the load spread."""
        position = 0
        for device_id, registration in self._registrations.items():
            if self._icp_of[device_id] == link.record.id:
                registration.start(delay=position / self._spread)
                position += 1

    def _on_attempt(self, device_id: int, result: RegistrationResult) -> None:
        if result.state is RegistrationState.REFUSED:
            self._refused_until[device_id] = self._agent.now + result.retry_in
        else:
            self._refused_until.pop(device_id, None)
        self._on_result(device_id, result)

    def _make(self, device: DeviceRecord, link: IcpLink, call_id: str = "", cseq: int = 0) -> ClientRegistration:
        user = device.icp_username
        registration = ClientRegistration(
            self._agent,
            link.destination,
            aor=f"sip:{user}@{link.domain}",
            registrar=f"sip:{link.domain}{link.transport_param}",
            contact=icp_contact(device, link, self._agent),
            credentials=DigestClient(user, device.icp_password),
            on_result=lambda result: self._on_attempt(device.id, result),
            policy=self._policy,
            call_id=call_id,
            cseq=cseq,
        )
        self._registrations[device.id] = registration
        self._icp_of[device.id] = link.record.id
        return registration


def icp_contact(device: DeviceRecord, link: IcpLink, agent: UserAgent) -> str:
    """The Contact of a device toward its ICP: the gateway's inside address, and which device it is."""
    address = host_port(agent.local)
    return f"sip:{device.icp_username}@{address}{link.transport_param};{DEVICE_PARAM}={device.id}"
