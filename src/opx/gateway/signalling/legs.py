"""How a call's two legs are placed: what the gateway's own INVITE toward a set or an ICP says."""

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.bindings import LiveBinding
from opx.gateway.signalling.icp_registrations import icp_contact
from opx.gateway.signalling.identity import name_addr
from opx.gateway.signalling.nodes import Node
from opx.sip.agent import UserAgent
from opx.sip.digest import DigestClient
from opx.sip.flow import Flow, host_port
from opx.sip.session import Authorize, Headers, Listener, Session


def call_icp(
    agent: UserAgent,
    listener: Listener,
    device: DeviceRecord,
    node: Node,
    number: str,
    *,
    offer: bytes,
    display: str = "",
    headers: Headers = (),
    reliable: bool = True,
    patience: float | None = None,
) -> Session:
    """Call `number` at a node of the device's own ICP, with the ICP-side credentials."""
    return Session.call(
        agent,
        listener,
        node.destination,
        uri=f"sip:{number}@{node.domain}{node.transport_param}",
        from_=name_addr(display, device.icp_username, node.domain),
        to=name_addr("", number, node.domain),
        contact=icp_contact(device, node, agent),
        sdp=offer,
        credentials=DigestClient(device.icp_username, device.icp_password),
        headers=headers,
        reliable=reliable,
        patience=patience,
    )


def call_set(
    agent: UserAgent,
    listener: Listener,
    device: DeviceRecord,
    binding: LiveBinding,
    *,
    offer: bytes,
    display: str,
    user: str,
    authorize: Authorize,
    headers: Headers = (),
    reliable: bool = True,
) -> Session:
    """Call a device's phone on the flow that it registered by; `display` and `user` are the caller's."""
    domain = host_port(agent.local)
    return Session.call(
        agent,
        listener,
        binding.flow,
        uri=binding.contact,
        from_=name_addr(display, user, domain),
        to=name_addr("", device.set_username, domain),
        contact=set_contact(agent, binding.flow),
        sdp=offer,
        headers=headers,
        authorize=authorize,
        reliable=reliable,
    )


def set_contact(agent: UserAgent, flow: Flow) -> str:
    """The gateway's own Contact for a set: a set that came by TCP is to stay there."""
    transport = "" if flow.transport == "UDP" else f";transport={flow.transport.lower()}"
    return f"sip:{host_port(agent.local)}{transport}"
