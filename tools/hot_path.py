"""What registrations and calls cost the gateway's own thread, without a load generator's weather.

The whole gateway runs in this process with its real settings, store and media worker; only the datagrams do not pass
the kernel. Between steps a fixed piece of Python is timed, and the figures are given in it: on a machine whose speed
changes by half from one second to the next they stay within some per cent. For comparing two versions of the code,
not with other programs: that is what `bench/` is for.
"""

import argparse
import asyncio
import cProfile
import hashlib
import os
import pstats
import re
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE / "bench"), str(HERE / "tests")]

from opx.config import load_settings  # noqa: E402
from opx.gateway.service import GatewayService  # noqa: E402
from opx.gateway.settings import GatewaySettings  # noqa: E402
from opx.memory import settle  # noqa: E402
from sip_servers import GATEWAY  # noqa: E402
from support.network import claim_network  # noqa: E402

Address = tuple[str, int]
USERS = 2_000
WAVE = 16
"""Registrations or calls that take each step together, as they gather under load."""
PASSWORD = "pass-word-1234"
SDP = (
    "v=0\r\no=bench 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    "a=sendrecv\r\n"
)
_COPIED = re.compile(r"^(?:Via|Record-Route|From|To|Call-ID|CSeq):.*$", re.MULTILINE | re.IGNORECASE)
_NONCE = re.compile(r'nonce="([^"]+)"')
_REALM = re.compile(r'realm="([^"]+)"')


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
    ) -> tuple[list[str], list[str]]:
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
            sent.append([data.decode() for data, _ in wire.going])
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

    def credentials(self, challenge: str, method: str, uri: str, user: int, header: str) -> str:
        nonce, realm = _found(_NONCE, challenge), _found(_REALM, challenge)
        ha1 = _md5(f"user{user}:{realm}:{PASSWORD}")
        answer = _md5(f"{ha1}:{nonce}:00000001:6b8b4567:auth:{_md5(f'{method}:{uri}')}")
        return (
            f'{header}: Digest username="user{user}",realm="{realm}",cnonce="6b8b4567",nc=00000001,qop=auth,'
            f'uri="{uri}",nonce="{nonce}",response="{answer}",algorithm=MD5\r\n'
        )

    def answer(self, request: str, status: str, *, tag: str = "", extra: str = "", body: str = "") -> bytes:
        copied = "\r\n".join(_COPIED.findall(request.replace("\r\n", "\n").partition("\n\n")[0]))
        if tag:
            copied = re.sub(r"(?m)^(To:[^\r\n]*)", rf"\1;tag={tag}", copied)
        return f"SIP/2.0 {status}\r\n{copied}\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    # --- what is measured

    async def register(self, users: list[int]) -> None:
        calls = [self.number() for _ in users]
        uri = f"sip:{self.outside}:5060"
        challenged, _ = await self.exchange(
            [self.request("REGISTER", u, c, 1) for u, c in zip(users, calls, strict=True)], []
        )
        expires = "Expires: 3600\r\n"
        second = [
            self.request("REGISTER", u, c, 2, extra=self.credentials(a, "REGISTER", uri, u, "Authorization") + expires)
            for u, c, a in zip(users, calls, challenged, strict=True)
        ]
        answered, forwarded = await self.exchange(second, [])
        if forwarded:
            # Only the first time: its ICP hears of it.
            contact = re.compile(r"(?m)^Contact:.*$")
            said = [f"{_found_line(contact, one)}\r\nExpires: 7200\r\n" for one in forwarded]
            more, _ = await self.exchange(
                [], [self.answer(one, "200 OK", tag="i", extra=e) for one, e in zip(forwarded, said, strict=True)]
            )
            answered = [*answered, *more]
        _expect(answered, "SIP/2.0 200", len(users))

    async def call(self, users: list[int]) -> None:
        calls = [self.number() for _ in users]
        offer = SDP.format(host=self.phones[0])
        target = f"sip:200@{self.outside}:5060"
        challenged, _ = await self.exchange(
            [self.request("INVITE", u, c, 1, body=offer) for u, c in zip(users, calls, strict=True)], []
        )
        challenged = [one for one in challenged if one.startswith("SIP/2.0 407")]
        second = []
        for u, c, a in zip(users, calls, challenged, strict=True):
            to = _header(a, "To")
            second.append(self.request("ACK", u, c, 1, to=to).replace(b"-ACK;rport", b"-INVITE;rport"))
            extra = self.credentials(a, "INVITE", target, u, "Proxy-Authorization")
            second.append(self.request("INVITE", u, c, 2, extra=extra, body=offer))
        _, invites = await self.exchange(second, [], wait=True)
        invites = [one for one in invites if one.startswith("INVITE")]
        realm = 'Proxy-Authenticate: Digest realm="icp", nonce="{}", algorithm=MD5, qop="auth"\r\n'
        refused = [
            self.answer(one, "407 Proxy", tag="r", extra=realm.format(_header(one, "Call-ID"))) for one in invites
        ]
        _, again = await self.exchange([], refused)
        again = [one for one in again if one.startswith("INVITE")]
        contact = f"Contact: <sip:{self.icp[0]}:5060>\r\n"
        ringing = [self.answer(one, "180 Ringing", tag="a", extra=contact) for one in again]
        await self.exchange([], ringing)
        typed = f"{contact}Content-Type: application/sdp\r\n"
        answer = SDP.format(host=self.icp[0])
        ok = [self.answer(one, "200 OK", tag="a", extra=typed, body=answer) for one in again]
        answered, _ = await self.exchange([], ok)
        answered = [one for one in answered if one.startswith("SIP/2.0 200")]
        _expect(answered, "SIP/2.0 200", len(users))
        legs = []
        for u, c, a in zip(users, calls, answered, strict=True):
            legs.append((u, c, _header(a, "To"), _header(a, "Contact").strip("<>")))
        await self.exchange([self.request("ACK", u, c, 2, uri=uri, to=to) for u, c, to, uri in legs], [])
        _, byes = await self.exchange(
            [self.request("BYE", u, c, 3, uri=uri, to=to) for u, c, to, uri in legs], [], wait=True
        )
        byes = [one for one in byes if one.startswith("BYE")]
        _expect(byes, "BYE", len(users))
        await self.exchange([], [self.answer(one, "200 OK") for one in byes], wait=True)


def _expect(sent: list[str], start: str, count: int) -> None:
    found = sum(one.startswith(start) for one in sent)
    if found != count:
        sys.exit(
            f"{found} of {count} {start!r}; the others: {[one[:300] for one in sent if not one.startswith(start)][:2]}"
        )


def _header(message: str, name: str) -> str:
    return _found_line(re.compile(rf"(?m)^{name}:.*$"), message).partition(":")[2].strip()


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    if found is None:
        sys.exit(f"no {pattern.pattern} in {text!r}")
    return found[1]


def _found_line(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text.replace("\r\n", "\n"))
    if found is None:
        sys.exit(f"no {pattern.pattern} in {text!r}")
    return found[0]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


async def _measure(folder: Path, options: argparse.Namespace) -> None:
    network = claim_network()
    try:
        outside, inside, phones, icp = (network.at(part) for part in ("10.1", "20.1", "30.1", "20.20"))
        devices = "".join(
            f'[[device]]\nusername = "user{n}"\npassword = "{PASSWORD}"\nicp = "Node 1"\nicp_username = "{10000 + n}"\n'
            for n in range(USERS)
        )
        (folder / "devices.toml").write_text(f'[[icp]]\nname = "Node 1"\nhost = "{icp}"\n{devices}')
        (folder / "gateway.toml").write_text(GATEWAY.format(folder=folder, outside=outside, inside=inside))
        service = GatewayService(
            load_settings(GatewaySettings, folder / "gateway.toml"), on_entry=print if options.entries else None
        )
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


async def _rounds(one: Callable[[list[int]], object], count: int) -> None:
    for start in range(0, count, WAVE):
        users = [(start + step) % USERS for step in range(WAVE)]
        await one(users)  # type: ignore[misc]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["registration", "call"])
    parser.add_argument("--count", type=int, default=1600, help="a multiple of 64")
    parser.add_argument("--profile", metavar="PREFIX", help="write cProfile's figures to PREFIX-NAME.prof")
    parser.add_argument("--entries", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="opx-hot-") as made:
        asyncio.run(_measure(Path(made), arguments))
