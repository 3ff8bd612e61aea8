"""What the gateway says of itself to sets."""

from opx.gateway.signalling.legs import set_contact
from opx.sip.flow import Flow
from support.site import OUTSIDE, Site


def test_a_set_that_came_by_tcp_is_asked_to_stay_there() -> None:
    agent = Site().signalling.set_agent
    here, there = (OUTSIDE, 5060), ("203.0.113.7", 40001)
    assert set_contact(agent, Flow("TCP", here, there)) == f"sip:{OUTSIDE}:5060;transport=tcp"
    assert set_contact(agent, Flow("UDP", here, there)) == f"sip:{OUTSIDE}:5060"
