"""Answers what is asked of port forwarding on the control socket."""

import asyncio

from opx.gateway.control.forwards import (
    AskForwards,
    AskOrigin,
    AskOrigins,
    ForwardLive,
    ForwardsLive,
    OriginFound,
    OriginsFound,
)
from opx.gateway.control.protocol import NotAllowed
from opx.gateway.control.server import Handler
from opx.gateway.forwarding.interface import ForwardingError, Origin
from opx.gateway.forwarding.reconciler import ForwardStatus
from opx.gateway.forwarding.rules import Protocol
from opx.gateway.forwarding.service import Forwarding


class ForwardingDesk:
    """Its `handlers` stand beside those of signalling."""

    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding
        self._asking = asyncio.Lock()

    @property
    def handlers(self) -> dict[str, Handler]:
        return {
            AskForwards.name: Handler(AskForwards, self._forwards),
            AskOrigin.name: Handler(AskOrigin, self._origin),
            AskOrigins.name: Handler(AskOrigins, self._origins),
        }

    async def _forwards(self, question: AskForwards) -> ForwardsLive:
        # One at a time: the kernel's table of connections is read for it.
        async with self._asking:
            status = await self._forwarding.status()
        return ForwardsLive(
            driver=status.driver,
            remark=status.remark,
            problem=status.problem,
            rules=tuple(_live(one) for one in status.rules),
        )

    async def _origin(self, question: AskOrigin) -> OriginFound:
        try:
            found = await self._forwarding.origin(
                question.address, question.port, host=question.host, protocol=Protocol(question.protocol)
            )
        except ForwardingError as error:
            raise NotAllowed(str(error)) from None
        return _origin(found)

    async def _origins(self, question: AskOrigins) -> OriginsFound:
        try:
            found = await self._forwarding.origins(question.connections, Protocol(question.protocol))
        except ForwardingError as error:
            raise NotAllowed(str(error)) from None
        return OriginsFound(items=tuple(_origin(one) for one in found))


def _origin(found: Origin | None) -> OriginFound:
    if found is None:
        return OriginFound(known=False)
    return OriginFound(
        known=True, address=found.address, port=found.port, outside_port=found.outside_port, forward_id=found.key
    )


def _live(one: ForwardStatus) -> ForwardLive:
    traffic = one.traffic
    return ForwardLive(
        id=one.forward.id,
        version=one.forward.version,
        state=one.state.value,
        why=one.why,
        connections=traffic.connections,
        open=traffic.open,
        bytes_up=traffic.bytes_up,
        bytes_down=traffic.bytes_down,
        refused=traffic.refused,
    )
