"""The asyncio shells that carry a user agent: sockets, connections and the clock.

`stack.SipStack` is the one to use; `udp` and `tcp` are its parts, and TLS takes its place beside them. Everything else
in `opx.sip` works without this package.
"""

from opx.sip.transport.clock import WheelClock
from opx.sip.transport.stack import SipStack, TransportLimits

__all__ = ["SipStack", "TransportLimits", "WheelClock"]
