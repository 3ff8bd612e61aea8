"""The preset "MiVoice Office Application Suite": the port forwards of the guide's stage 2 for the chosen clients."""

import ipaddress
from collections.abc import Collection
from enum import StrEnum

from opx.gateway.forwarding.rules import ForwardSpec, Ports, Protocol

NAME = "MiVoice Office Application Suite"


class Client(StrEnum):
    """What connects to the suite from outside."""

    DESKTOP = "desktop"
    INTEGRATION = "integration"
    WALLBOARD = "wallboard"
    MOBILE = "mobile"
    MOBILE_SOFTPHONE = "mobile-softphone"
    HANDSETS = "69xx"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Client.DESKTOP: "Phone Manager Desktop",
    Client.INTEGRATION: "Integration Services",
    Client.WALLBOARD: "Personal Wallboard",
    Client.MOBILE: "Phone Manager Mobile",
    Client.MOBILE_SOFTPHONE: "Phone Manager Mobile Softphone",
    Client.HANDSETS: "69xx phones",
}

_ROWS = (
    (Client.DESKTOP, (8186, 8187), "Phone Manager Desktop: configuration, user data, chat"),
    (Client.INTEGRATION, (8188,), "Integration Services"),
    (Client.DESKTOP, (2001,), "Phone Manager Desktop: telephony status"),
    (Client.WALLBOARD, (8200, 8204), "Personal Wallboard"),
    (Client.MOBILE, (8185,), "Phone Manager Mobile: configuration, user data, chat"),
    (Client.MOBILE_SOFTPHONE, (8190,), "Phone Manager Mobile: softphone audio"),
    (Client.HANDSETS, (8202,), "69xx phones: configuration"),
)
"""The guide's tables, in its order. A row is one rule."""


def rules(host: ipaddress.IPv4Address, clients: Collection[Client]) -> list[ForwardSpec]:
    """The rules of these clients for the suite at `host`, all with SNAT."""
    return [
        ForwardSpec(Protocol.TCP, Ports.of(*ports), host, description=description)
        for client, ports, description in _ROWS
        if client in clients
    ]
