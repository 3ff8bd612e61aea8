"""The SIP ALG of a home router, as a program in the router's network namespace.

The router's rules hand it what phones send to the SIP port; it sends that on from the router's public address, and what
comes back there to the phone. Usage: `python -m opx.lab.mangler ALG INSIDE-ADDRESS PUBLIC-ADDRESS SERVER PORT`.
"""

import contextlib
import selectors
import socket
import sys

from opx.lab.mangling import inward, outward
from opx.lab.plan import Alg

Address = tuple[str, int]
MAX_PHONES = 100
"""Sockets of one home: a mapping per phone and port."""
MAX_DATAGRAM = 65535


class Mangler:
    """Carries datagrams between phones inside and one server outside."""

    def __init__(self, alg: Alg, inside: str, public: str, server: Address) -> None:
        self._alg = alg
        self._public = public
        self._server = server
        self._selector = selectors.DefaultSelector()
        self._inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inside.bind((inside, server[1]))
        self._selector.register(self._inside, selectors.EVENT_READ)
        self._outside: dict[Address, socket.socket] = {}
        self._phones: dict[socket.socket, Address] = {}

    def run(self) -> None:
        """Until the process ends."""
        while True:
            for key, _ in self._selector.select():
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                with contextlib.suppress(OSError):  # an ICMP error of an earlier datagram; UDP loses this one
                    self._carry(ready)

    def _carry(self, ready: socket.socket) -> None:
        data, source = ready.recvfrom(MAX_DATAGRAM)
        if ready is self._inside:
            outside = self._socket_for(source)
            if outside is not None:
                outside.sendto(outward(data, self._alg, source[0], self._public), self._server)
        elif source == self._server:
            phone = self._phones[ready]
            self._inside.sendto(inward(data, self._alg, phone[0], self._public), phone)

    def _socket_for(self, phone: Address) -> socket.socket | None:
        """Bound to the phone's own port where that is free outside."""
        if phone not in self._outside:
            if len(self._outside) >= MAX_PHONES:
                return None
            outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                outside.bind((self._public, phone[1]))
            except OSError:
                outside.bind((self._public, 0))
            self._outside[phone] = outside
            self._phones[outside] = phone
            self._selector.register(outside, selectors.EVENT_READ)
        return self._outside[phone]


def main(arguments: list[str]) -> None:
    alg, inside, public, server, port = arguments
    mangler = Mangler(Alg(alg), inside, public, (server, int(port)))
    print("ready", flush=True)  # noqa: T201
    mangler.run()


if __name__ == "__main__":
    main(sys.argv[1:])
