"""The port forwarding rules as the web services want them: from the database, with what the running gateway says."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from opx.gateway.control.forwards import ForwardingControl, ForwardLive, OriginFound
from opx.gateway.control.protocol import ControlError
from opx.gateway.forwarding.checking import warnings
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.rules import Forward, ForwardSpec, Ports, Protocol, parse_address, parse_sources
from opx.gateway.records import Conflict, Missing, RepositoryError
from opx.gateway.webservices.ports import (
    ForwardOutdated,
    ForwardRefused,
    ForwardState,
    ForwardUnknown,
    ForwardWish,
    OriginState,
    OriginUnknown,
)

T = TypeVar("T")


class KeptForwards:
    """A `webservices.ports.Forwards`. Every change is taken over by the running gateway before it is answered."""

    def __init__(self, repository: ForwardRepository, control: ForwardingControl) -> None:
        self._repository = repository
        self._control = control

    async def all(self) -> Sequence[ForwardState]:
        live = await self._live()
        return [self._state(rule, live) for rule in await self._repository.all()]

    async def get(self, key: int) -> ForwardState:
        return self._state(await _translated(self._repository.get(key)), await self._live())

    async def add(self, wish: ForwardWish) -> ForwardState:
        (made,) = await _translated(self._repository.add(_spec(wish)))
        return await self._taken_over(made)

    async def change(self, key: int, version: int, wish: ForwardWish) -> ForwardState:
        return await self._taken_over(await _translated(self._repository.change(key, _spec(wish), version)))

    async def remove(self, key: int, version: int) -> None:
        await _translated(self._repository.remove(key, version))
        await self._tell()

    async def origin(self, protocol: str, source: tuple[str, int], host: tuple[str, int] | None) -> OriginState | None:
        try:
            found = await self._control.origin(*source, host=host, protocol="UDP" if protocol == "UDP" else "TCP")
        except ControlError as error:
            raise OriginUnknown(str(error)) from None
        return _origin(found)

    async def origins_of(
        self, protocol: str, asked: Sequence[tuple[tuple[str, int], tuple[str, int]]]
    ) -> list[OriginState | None]:
        try:
            found = await self._control.origins(asked, protocol="UDP" if protocol == "UDP" else "TCP")
        except ControlError as error:
            raise OriginUnknown(str(error)) from None
        return [_origin(one) for one in found]

    async def _taken_over(self, rule: Forward) -> ForwardState:
        trouble = await self._tell()
        state = self._state(rule, await self._live())
        if trouble and state.in_force is None:
            return ForwardState(state.id, state.version, state.wish, None, trouble, state.warnings)
        return state

    async def _tell(self) -> str:
        """Why the gateway has not taken a change over, which is stored nevertheless."""
        try:
            await self._control.changed()
        except ControlError as error:
            return str(error)
        return ""

    async def _live(self) -> Mapping[int, ForwardLive]:
        """By rule; nothing while no gateway answers."""
        try:
            return {one.id: one for one in (await self._control.forwards()).rules}
        except ControlError:
            return {}

    def _state(self, rule: Forward, live: Mapping[int, ForwardLive]) -> ForwardState:
        spec, one = rule.spec, live.get(rule.id)
        wish = ForwardWish(
            protocol=spec.protocol.value,
            ports=str(spec.ports),
            host=str(spec.host),
            host_port=spec.host_port,
            snat=spec.snat,
            sources=tuple(map(str, spec.sources)),
            description=spec.description,
            enabled=spec.enabled,
            forced=spec.forced,
        )
        in_force = None if one is None else one.state in ("in force", "in force, but hindered")
        told = tuple(warnings(spec, self._repository.site))
        return ForwardState(rule.id, rule.version, wish, in_force, one.why if one else "", told)


def _spec(wish: ForwardWish) -> ForwardSpec:
    """ForwardRefused."""
    try:
        return ForwardSpec(
            protocol=Protocol(wish.protocol),
            ports=Ports.parse(wish.ports),
            host=parse_address(wish.host),
            host_port=wish.host_port,
            snat=wish.snat,
            sources=parse_sources(",".join(wish.sources)),
            description=wish.description,
            enabled=wish.enabled,
            forced=wish.forced,
        )
    except RepositoryError as error:
        raise ForwardRefused(str(error), error.field) from None


async def _translated(work: Awaitable[T]) -> T:
    try:
        return await work
    except Missing as error:
        raise ForwardUnknown(str(error)) from None
    except Conflict as error:
        raise ForwardOutdated(str(error)) from None
    except RepositoryError as error:
        raise ForwardRefused(str(error), error.field) from None


def _origin(found: OriginFound) -> OriginState | None:
    if not found.known:
        return None
    return OriginState(found.address, found.port, found.outside_port, found.forward_id)
