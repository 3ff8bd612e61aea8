"""What registrations and calls cost the gateway's own thread, without a load generator's weather.

The whole gateway runs in this process with its real settings, store and media worker; only the datagrams do not pass
the kernel. Between steps a fixed piece of Python is timed, and the figures are given in it: on a machine whose speed
changes by half from one second to the next they stay within some per cent. For comparing two versions of the code,
not with other programs: that is what `bench/` is for.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE / "bench"), str(HERE / "tests")]

from opx.config import load_settings  # noqa: E402
from opx.gateway.service import GatewayService  # noqa: E402
from opx.gateway.settings import GatewaySettings  # noqa: E402
from opx.memory import settle  # noqa: E402
from opx.sip.digest import Algorithm, Challenge, DigestClient  # noqa: E402
from opx.sip.message import Request, Response  # noqa: E402
from opx.sip.parser import parse  # noqa: E402
from peers.sipp import PASSWORD  # noqa: E402
from sip_servers import write_gateway  # noqa: E402
from support.network import claim_network  # noqa: E402

Address = tuple[str, int]
Message = Request | Response
USERS = 2_000
WAVE = 16
"""Registrations or calls that take each step together, as they gather under load."""
SDP = (
    "v=0\r\no=bench 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    "a=sendrecv\r\n"
)


class Wire(socket.socket):
    """Stands where a listener has its socket: what goes in is read by the gateway, what it sends comes out."""

    def __init__(self, real: socket.socket) -> None:
        super().__init__(fileno=os.dup(real.fileno()))
        self._real = real
        self.coming: deque[tuple[bytes, Address]] = deque()
        self.going: list[tuple[bytes, Address]] = []

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        if not self.coming:
            raise BlockingIOError
        return self.coming.popleft()

    def sendto(self, data: bytes, remote: Address) -> int:  # type: ignore[override]
        self.going.append((data, remote))
        return len(data)


class Stopwatch:
    """CPU time of this thread while it runs, in microseconds and in units of a fixed piece of work."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.units = 0.0
        self.profile: cProfile.Profile | None = None

    def run(self, work: Callable[[], object]) -> None:
        unit = _unit()
        if self.profile is not None:
            self.profile.enable()
        start = time.thread_time()
        work()
        spent = time.thread_time() - start
        if self.profile is not None:
            self.profile.disable()
        self.spent += spent
        self.units += spent / (0.5 * (unit + _unit()))


def _unit() -> float:
    """Seconds that a fixed piece of Python takes now: about 100 us on the machine of docs/performance.md."""
    start = time.thread_time()
    found = {}
    for number in range(300):
        name, _, value = f"x-{number}: {number}".partition(":")
        found[name] = value.strip().encode()
    return time.thread_time() - start


class Rig:
    """A gateway with its two wires, and the phones and the ICP at their other ends."""

    def __init__(self, service: GatewayService, phones: str, icp: str) -> None:
        self.service = service
        self.phones, self.icp = (phones, 5060), (icp, 5060)
        self.outside = service.settings.set_side.address
        self.wires = []
        for stack in (service.set_stack, service.icp_stack):
            listener = stack._udp
            assert listener is not None
            wire = Wire(listener._socket)
            listener._socket = wire
            self.wires.append(wire)
        self.watch = Stopwatch()
        self.serial = 0

    async def exchange(
        self, to_set: list[bytes], to_icp: list[bytes], wait: bool = False
    ) -> tuple[list[Message], list[Message]]:
        """Gives each side's datagrams to the gateway; returns what it sent to each side."""
        for wire, stack, what, remote in zip(
            self.wires,
            (self.service.set_stack, self.service.icp_stack),
            (to_set, to_icp),
            (self.phones, self.icp),
            strict=True,
        ):
            wire.coming.extend((data, remote) for data in what)
            if what:
                listener = stack._udp
                assert listener is not None
                self.watch.run(listener._drain)
                self._flush()
        if wait:
            await self._media()
            self._flush()
        await asyncio.sleep(0)
        sent = []
        for wire in self.wires:
            sent.append([parse(data) for data, _ in wire.going])
            wire.going.clear()
        return sent[0], sent[1]

    def _flush(self) -> None:
        for shell in (self.service.set_stack, self.service.icp_stack, *self._links()):
            self.watch.run(shell._flush)

    def _links(self) -> list[Any]:
        return [worker._link for worker in self.service.driver._workers]  # type: ignore[attr-defined]

    async def _media(self) -> None:
        """Until the media worker has answered."""
        for _ in range(100):
            for link in self._links():
                self.watch.run(link._drain)
            if not any(worker._asked for worker in self.service.driver._workers):  # type: ignore[attr-defined]
                return
            await asyncio.sleep(0.001)

    def number(self) -> int:
        self.serial += 1
        return self.serial

    # --- what the ends say

    def request(
        self,
        method: str,
        user: int,
        call: int,
        cseq: int,
        *,
        uri: str = "",
        to: str = "",
        extra: str = "",
        body: str = "",
    ) -> bytes:
        host = f"{self.phones[0]}:{self.phones[1]}"
        target = uri or (f"sip:{self.outside}" if method == "REGISTER" else f"sip:200@{self.outside}")
        callee = to or (f"<sip:user{user}@{self.outside}>" if method == "REGISTER" else f"<sip:200@{self.outside}>")
        kind = "Content-Type: application/sdp\r\n" if body else ""
        contact = "" if method in ("ACK", "BYE") else f"Contact: <sip:user{user}@{host}>\r\n"
        return (
            f"{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch=z9hG4bK-{call}-{cseq}-{method};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:user{user}@{self.outside}>;tag={call}\r\nTo: {callee}\r\n"
            f"Call-ID: {call}-777@{self.phones[0]}\r\nCSeq: {cseq} {method}\r\n{extra}{contact}User-Agent: bench\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    @staticmethod
    def credentials(challenged: Response, method: str, uri: str, user: int) -> str:
        name = "www-authenticate" if challenged.status == 401 else "proxy-authenticate"
        challenges = [Challenge.parse(value, proxy=challenged.status == 407) for value in challenged.get_all(name)]
        # The one that sipp knows too.
        md5 = [challenge for challenge in challenges if challenge.algorithm is Algorithm.MD5]
        header = DigestClient(f"user{user}", PASSWORD).answer(md5, method, uri)
        assert header is not None
        return f"{header[0].title()}: {header[1]}\r\n"

    @staticmethod
    def answer(request: Request, status: int, *headers: tuple[str, str], tag: str = "", body: str = "") -> bytes:
        response = request.reply(status, to_tag=tag)
        for name, value in headers:
            response.add(name, value)
        response.body = body.encode()
        return response.encode()

    # --- what is measured

    async def register(self, users: list[int]) -> None:
        calls = [self.number() for _ in users]
        uri = f"sip:{self.outside}:5060"
        sent, _ = await self.exchange(
            [self.request("REGISTER", u, c, 1) for u, c in zip(users, calls, strict=True)], []
        )
        second = [
            self.request("REGISTER", u, c, 2, extra=f"{self.credentials(a, 'REGISTER', uri, u)}Expires: 3600\r\n")
            for u, c, a in zip(users, calls, _responses(sent, 401, len(users)), strict=True)
        ]
        answered, forwarded = await self.exchange(second, [])
        if forwarded:
            # Only the first time: its ICP hears of it.
            taken = [
                self.answer(one, 200, ("contact", one.need("contact")), ("expires", "7200"), tag="i")
                for one in _requests(forwarded, "REGISTER", len(users))
            ]
            answered, _ = await self.exchange([], taken)
        _responses(answered, 200, len(users))

    async def call(self, users: list[int]) -> None:
        count = len(users)
        calls = [self.number() for _ in users]
        offer, answer = SDP.format(host=self.phones[0]), SDP.format(host=self.icp[0])
        target = f"sip:200@{self.outside}:5060"
        first = [self.request("INVITE", u, c, 1, body=offer) for u, c in zip(users, calls, strict=True)]
        sent, _ = await self.exchange(first, [])
        second = []
        for u, c, a in zip(users, calls, _responses(sent, 407, count), strict=True):
            ack = self.request("ACK", u, c, 1, to=a.need("to"))
            second.append(ack.replace(b"-ACK;rport", b"-INVITE;rport"))
            second.append(self.request("INVITE", u, c, 2, extra=self.credentials(a, "INVITE", target, u), body=offer))
        _, sent = await self.exchange(second, [], wait=True)
        refused = []
        for one in _requests(sent, "INVITE", count):
            challenge = Challenge("icp", one.call_id, Algorithm.MD5).header_value()
            refused.append(self.answer(one, 407, ("proxy-authenticate", challenge), tag="r"))
        _, sent = await self.exchange([], refused)
        invites = _requests(sent, "INVITE", count)
        contact = ("contact", f"<sip:{self.icp[0]}:5060>")
        await self.exchange([], [self.answer(one, 180, contact, tag="a") for one in invites])
        typed = ("content-type", "application/sdp")
        sent, _ = await self.exchange(
            [], [self.answer(one, 200, contact, typed, tag="a", body=answer) for one in invites]
        )
        legs = [
            (u, c, a.need("to"), a.need("contact").strip("<>"))
            for u, c, a in zip(users, calls, _responses(sent, 200, count), strict=True)
        ]
        await self.exchange([self.request("ACK", u, c, 2, uri=uri, to=to) for u, c, to, uri in legs], [])
        byes = [self.request("BYE", u, c, 3, uri=uri, to=to) for u, c, to, uri in legs]
        _, sent = await self.exchange(byes, [], wait=True)
        await self.exchange([], [self.answer(one, 200) for one in _requests(sent, "BYE", count)], wait=True)


def _requests(sent: Sequence[Message], method: str, count: int) -> list[Request]:
    """Those with that method. SystemExit when they are not so many."""
    found = [one for one in sent if isinstance(one, Request) and one.method == method]
    return found if len(found) == count else _missed(sent, method)


def _responses(sent: Sequence[Message], status: int, count: int) -> list[Response]:
    """Those with that status. SystemExit when they are not so many."""
    found = [one for one in sent if isinstance(one, Response) and one.status == status]
    return found if len(found) == count else _missed(sent, str(status))


def _missed(sent: Sequence[Message], wanted: str) -> NoReturn:
    sys.exit(f"not as many {wanted} as phones; the gateway sent {sorted({one.start_line for one in sent})}")


async def _measure(folder: Path, options: argparse.Namespace) -> None:
    network = claim_network()
    try:
        outside, inside, phones, icp = (network.at(part) for part in ("10.1", "20.1", "30.1", "20.20"))
        settings = load_settings(GatewaySettings, write_gateway(folder, outside, inside, icp, USERS))
        service = GatewayService(settings, on_entry=print if options.entries else None)
        await service.start()
        try:
            settle()
            rig = Rig(service, phones, icp)
            work = {"registration": rig.register, "call": rig.call}
            for first in range(0, USERS, WAVE):
                await rig.register(list(range(first, min(first + WAVE, USERS))))
            for name in options.what:
                rig.watch = Stopwatch()
                await _rounds(work[name], options.count // 4)
                rig.watch = Stopwatch()
                if options.profile:
                    rig.watch.profile = cProfile.Profile()
                await _rounds(work[name], options.count)
                spent, units = rig.watch.spent / options.count, rig.watch.units / options.count
                print(f"{name}: {units:.3f} units ({spent * 1e6:.0f} us)", flush=True)
                if rig.watch.profile is not None:
                    stats = pstats.Stats(rig.watch.profile)
                    stats.dump_stats(f"{options.profile}-{name}.prof")
                    calls = sum(one[1] for one in stats.stats.values()) / options.count  # type: ignore[attr-defined]
                    print(f"  {calls:.0f} function calls each; see {options.profile}-{name}.prof")
        finally:
            await service.stop()
    finally:
        network.release()


async def _rounds(one: Callable[[list[int]], Awaitable[None]], count: int) -> None:
    for start in range(0, count, WAVE):
        users = [(start + step) % USERS for step in range(WAVE)]
        await one(users)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["registration", "call"])
    parser.add_argument("--count", type=int, default=1600, help="a multiple of 64")
    parser.add_argument("--profile", metavar="PREFIX", help="write cProfile's figures to PREFIX-NAME.prof")
    parser.add_argument("--entries", action="store_true", help="print the timeline, to find what went wrong")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="opx-hot-") as made:
        asyncio.run(_measure(Path(made), arguments))
