"""The lines between the gateway and a forwarding worker: one JSON object each, over a Unix socket."""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from opx import __version__
from opx.gateway.forwarding.interface import AskedOrigin, ForwardingPolicy, Origin, Traffic, WantedRoute
from opx.gateway.forwarding.rules import Ports, Protocol, Route

MAX_LINE = 8 * 1024 * 1024
"""Bytes; a longer line is a fault and ends the connection. The longest is all routes with their networks."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EnginePolicy:
    """What all workers go by, and how this one shares with its fellows."""

    forwarding: ForwardingPolicy
    workers: int
    buffer: int
    """Bytes that a direction copies at once, and of a pipe."""
    pipes: int
    outlive: float
    """Seconds that a worker goes on without a gateway."""


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Lines:
    """Cuts what arrives into messages. ValueError for what is none."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        messages = [json.loads(line) for line in lines]
        if len(self._rest) > MAX_LINE or not all(isinstance(message, dict) for message in messages):
            raise ValueError("no message")
        return messages


def hello(policy: EnginePolicy) -> Message:
    """What a worker and a gateway must agree on for the one to take over the other: its release and its policy."""
    values = asdict(policy)
    values["forwarding"] |= {side: str(values["forwarding"][side]) for side in ("outside", "inside")}
    return {"release": __version__, "policy": values}


def policy_of(values: Message) -> EnginePolicy:
    forwarding = dict(values["forwarding"])
    for side in ("outside", "inside"):
        forwarding[side] = ipaddress.IPv4Address(forwarding[side])
    return EnginePolicy(**{**values, "forwarding": ForwardingPolicy(**forwarding)})


def route_dict(route: Route) -> Message:
    return {
        "protocol": route.protocol.value,
        "ports": str(route.ports),
        "host": str(route.host),
        "host_port": route.host_port,
        "snat": route.snat,
        "sources": [str(network) for network in route.sources],
    }


def route_of(values: Message) -> Route:
    return Route(
        Protocol(values["protocol"]),
        Ports.parse(values["ports"]),
        ipaddress.IPv4Address(values["host"]),
        values["host_port"],
        values["snat"],
        tuple(ipaddress.IPv4Network(network) for network in values["sources"]),
    )


def wanted_list(wanted: Sequence[WantedRoute]) -> list[Message]:
    return [{"key": one.key, **route_dict(one.route)} for one in wanted]


def wanted_of(values: Sequence[Message]) -> list[WantedRoute]:
    return [WantedRoute(one["key"], route_of(one)) for one in values]


# JSON has no numbers as keys.


def by_text(values: Mapping[int, Any]) -> Message:
    return {str(key): value for key, value in values.items()}


def traffic_of(values: Message) -> dict[int, Traffic]:
    return {int(key): Traffic(**one) for key, one in values.items()}


def asked_of(values: Sequence[Any]) -> list[AskedOrigin]:
    return [((source[0], source[1]), (host[0], host[1]) if host else None) for source, host in values]


def origins_of(values: Sequence[Message]) -> list[Origin]:
    return [Origin(**one) for one in values]
