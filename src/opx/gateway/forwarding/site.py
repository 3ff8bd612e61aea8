"""What of a gateway's settings its forwarding rules must not collide with."""

import ipaddress

from opx.gateway.forwarding.checking import OwnPort, Site
from opx.gateway.forwarding.rules import PortRange, Protocol
from opx.gateway.settings import GatewaySettings


def site_of(settings: GatewaySettings) -> Site:
    outside, inside = settings.set_side, settings.icp_side
    own = [OwnPort(Protocol.UDP, PortRange(*settings.media.rtp_ports), "voice (media.rtp_ports)")]
    if settings.web_address == outside.address:
        own.append(OwnPort(Protocol.TCP, PortRange(settings.web.port, settings.web.port), "its console (web.port)"))
    return Site(
        ipaddress.IPv4Address(outside.address),
        ipaddress.IPv4Address(inside.address),
        inside.network,
        (outside.port, inside.port),
        tuple(own),
    )
