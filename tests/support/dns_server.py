"""A DNS server on loopback that answers what a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsServer(asyncio.DatagramProtocol):
    """`put` says what there is. `rcode` other than NOERROR is the answer to everything; `silent` gives none."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}
        self.asked: list[tuple[str, str]] = []
        self.rcode = dns.rcode.NOERROR
        self.silent = False
        self.address = ""
        self._transport: asyncio.DatagramTransport | None = None

    def put(self, name: str, kind: str, *values: str, ttl: int = 300) -> None:
        """Records as in a zone file; without values the name has none of that kind."""
        self.records[name, kind] = (ttl, values)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        host, port = transport.get_extra_info("sockname")[:2]
        self.address = f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.silent or self._transport is None:
            return
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(self.rcode)
        if self.rcode == dns.rcode.NOERROR:
            self._fill(response, name, kind)
        self._transport.sendto(response.to_wire(), addr)

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        alias = self.records.get((name, "CNAME"))
        if alias is not None:
            response.answer.append(dns.rrset.from_text(f"{name}.", alias[0], "IN", "CNAME", *alias[1]))
            name = alias[1][0].rstrip(".")
        ttl, values = self.records.get((name, kind), (0, ()))
        if values:
            response.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", kind, *values))
        elif not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)


@asynccontextmanager
async def dns_server(address: str) -> AsyncIterator[DnsServer]:
    """Listens on a free port of `address`."""
    server = DnsServer()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=(address, 0))
    try:
        yield server
    finally:
        transport.close()
