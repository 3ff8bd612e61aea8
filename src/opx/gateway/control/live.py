"""Answers from signalling's memory. Nothing here waits, but for the media relay's figures of one call."""

import heapq
import time
from collections.abc import Callable, Collection, Iterable
from typing import Literal

from opx.gateway.control.protocol import (
    AskCalls,
    AskRegistrations,
    CallPage,
    IcpHealth,
    LiveCall,
    MediaFigures,
    NodeHealth,
    NotFound,
    Registration,
    RegistrationPage,
    StreamFigures,
)
from opx.gateway.media.interface import RelayStats, Side
from opx.gateway.signalling.bindings import LiveBinding
from opx.gateway.signalling.call import Call
from opx.gateway.signalling.call_media import CallMedia
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.nodes import Health, Node
from opx.gateway.signalling.signalling import Signalling
from opx.sip.flow import host_port

_HEALTH: dict[Health, Literal["up", "down", "unknown"]] = {
    Health.UP: "up",
    Health.DOWN: "down",
    Health.UNKNOWN: "unknown",
}


class LiveView:
    """`clock` gives the time that signalling counts in, `wall` that of the calendar, both in seconds."""

    def __init__(
        self, signalling: Signalling, clock: Callable[[], float], wall: Callable[[], float] = time.time
    ) -> None:
        self._signalling = signalling
        self._clock = clock
        self._wall = wall

    def at(self, moment: float) -> float:
        """A time of signalling's clock in seconds since 1970; 0 stays 0."""
        return self.times(moment)[0]

    def times(self, *moments: float) -> list[float]:
        """Several as `at` gives them, which stay in their order."""
        offset = self._wall() - self._clock()
        return [moment + offset if moment else 0.0 for moment in moments]

    # --- ICPs

    def icps(self) -> tuple[IcpHealth, ...]:
        links = sorted(self._signalling.links, key=lambda link: link.record.name)
        registered = self._signalling.icps.registered_by_icp()
        return tuple(self._icp(link, registered.get(link.record.id, 0)) for link in links)

    @staticmethod
    def _icp(link: IcpLink, registrations: int) -> IcpHealth:
        return IcpHealth(
            id=link.record.id,
            name=link.record.name,
            available=link.available,
            registrations=registrations,
            nodes=tuple(map(_node, link.nodes)),
        )

    # --- registrations

    def registrations(self, question: AskRegistrations) -> RegistrationPage:
        bindings = self._signalling.registrar.bindings
        if question.device_ids is not None:
            found = [self._registration(one) for number in question.device_ids for one in bindings.of(number)]
            return RegistrationPage(items=tuple(found))
        behind = (number for number in bindings.devices if number > question.after)
        numbers = heapq.nsmallest(question.limit + 1, behind)
        page = numbers[: question.limit]
        found = [self._registration(one) for number in page for one in bindings.of(number)]
        return RegistrationPage(items=tuple(found), following=page[-1] if len(numbers) > len(page) else None)

    def _registration(self, binding: LiveBinding) -> Registration:
        icps = self._signalling.icps
        node = icps.node_of(binding.device_id)
        return Registration(
            device_id=binding.device_id,
            contact=binding.contact,
            host=binding.flow.remote[0],
            port=binding.flow.remote[1],
            transport=binding.flow.transport,
            user_agent=_readable(binding.user_agent),
            registered_at=self.at(binding.registered_at),
            expires_at=self.at(binding.expires_at),
            last_seen=self.at(self._signalling.registrar.bindings.last_heard(binding)),
            reachable=binding.open,
            at_icp=icps.registered(binding.device_id),
            node=str(node) if node is not None else "",
        )

    # --- calls

    def find(self, call_id: str) -> Call:
        """NotFound."""
        call = self._signalling.calls.find(call_id)
        if call is None:
            raise NotFound("there is no such call under way")
        return call

    def calls(self, question: AskCalls) -> CallPage:
        wanted: Collection[int] | None = question.device_ids
        calls: Iterable[Call] = self._signalling.calls.all()
        if wanted is not None:
            calls = [call for number in wanted for call in self._signalling.calls.of(number)]
        # A page goes on behind a moment, not behind a call, which may have ended meanwhile.
        start = _place(question.after) if question.after else (0.0, "")
        behind = sorted((call for call in calls if _order(call) > start), key=_order)
        page = behind[: question.limit]
        following = _cursor(page[-1]) if len(behind) > len(page) else None
        return CallPage(items=tuple(map(self.call, page)), following=following)

    def call(self, call: Call) -> LiveCall:
        directory = self._signalling.directory
        device = directory.device(call.device_id)
        icp = directory.icp(device.icp_id) if device is not None else None
        number = _readable(call.number)
        extension = device.icp_username if device is not None else ""
        outgoing = call.caller is Side.SET
        bridge = call.bridge
        phone, office = call.set_leg, call.icp_leg
        started_at, rang_at, answered_at = self.times(bridge.started_at, bridge.rang_at, bridge.answered_at)
        return LiveCall(
            call_id=call.call_id,
            device_id=call.device_id,
            device=device.set_username if device is not None else "",
            icp=icp.name if icp is not None else "",
            direction="outgoing" if outgoing else "incoming",
            caller=extension if outgoing else number,
            callee=number if outgoing else extension,
            state="answered" if bridge.answered else "ringing" if bridge.rang_at else "calling",
            started_at=started_at,
            rang_at=rang_at,
            answered_at=answered_at,
            phone=str(phone.route) if phone is not None else "",
            node=str(office.route) if office is not None else "",
            codec=call.media.codec,
            held=call.media.held,
        )


def media_figures(media: CallMedia, stats: RelayStats) -> MediaFigures:
    """What the relay has counted for a call, with its addresses on both sides."""
    return MediaFigures(
        codec=media.codec, set_side=_stream(media, Side.SET, stats), icp_side=_stream(media, Side.ICP, stats)
    )


def _stream(media: CallMedia, side: Side, stats: RelayStats) -> StreamFigures:
    local = media.address(side)
    counted = stats.of(side)
    return StreamFigures(
        local=host_port(local) if local is not None else "",
        remote=host_port(counted.latched) if counted.latched is not None else "",
        packets=counted.packets,
        octets=counted.octets,
        rtcp=counted.rtcp,
        lost=counted.lost,
        jitter=round(counted.jitter, 2),
        told_lost=counted.told_lost,
        told_jitter=round(counted.told_jitter, 2) if counted.told_jitter is not None else None,
        strangers=counted.strangers,
        unready=counted.unready,
        garbage=counted.garbage,
        unsent=counted.unsent,
    )


def _order(call: Call) -> tuple[float, str]:
    return call.bridge.started_at, call.call_id


def _cursor(call: Call) -> str:
    return f"{call.bridge.started_at!r}/{call.call_id}"


def _place(cursor: str) -> tuple[float, str]:
    started, _, call_id = cursor.partition("/")
    try:
        return float(started), call_id
    except ValueError:
        raise NotFound("there is no such place to go on from") from None


def _node(node: Node) -> NodeHealth:
    return NodeHealth(
        address=str(node), state=_HEALTH[node.health], settling=node.settling, left_alone=round(node.left_alone, 1)
    )


def _readable(text: str) -> str:
    """Text from a message; JSON has no way to write bytes that were no UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
