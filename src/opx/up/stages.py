"""The guide's six stages on the demo's site, each by the commands that an engineer would type."""

import asyncio
import contextlib
import os
import re
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from opx.pinning import fingerprint_of
from opx.up.site import GATEWAY, SUITE, DemoFailed, Site

NODE = "Node 1"
OFFICE_SYSTEM = "Office"
CONSUMER = "MiVOAppSuite"
CONSUMER_NAME = "MiVoice Office Application Suite"
PERMISSIONS = (
    "Base/managetoken=read-write",
    "MBG/v1/icps=read",
    "MBG/v1/devices=read-write",
    "OPX/v1/devices/notify=read-write",
    "OPX/v1/devices/registrations=read",
    "OPX/v1/forwards=read",
    "OPX/v1/forwards/origin=read",
)
"""The guide's three, and what lets the suite push to phones and know who is behind a forward."""
POLL = 0.3
TRIES = 60
"""Looks, each the run of a command and `POLL` seconds, for something that the programs do by themselves."""

Say = Callable[[str], None]


class Stages:
    """Carries the stages out, one after the other. DemoFailed says which command went wrong, and what it said."""

    def __init__(self, site: Site, say: Say) -> None:
        self._site = site
        self._say = say

    async def addresses(self) -> None:
        """Stage 1."""
        site, network = self._site, self._site.network
        self._say("stage 1: the suite learns the gateway's addresses, the PBX and where clients find it")
        fingerprint = fingerprint_of(_certificate(site.folder / "pbx-certificates" / "server.pem"))
        await self.opx(SUITE, "gateway", "set", network.inside, "--rest-api")
        await self.opx(
            *(SUITE, "pbx", "add", OFFICE_SYSTEM, "--connector", "opx", "--url", f"https://{network.pbx}:8445"),
            *("--fingerprint", fingerprint, "--token-file", str(site.folder / "pbx.token")),
        )
        await self.opx(SUITE, "node", "add", OFFICE_SYSTEM, NODE, network.pbx, "--nat-address", network.outside)
        await self.opx(SUITE, "location", "set", "--local", network.suite, "--remote", network.outside)

    async def forwards(self) -> None:
        """Stage 2."""
        self._say("stage 2: the gateway forwards TCP 8202 to the suite")
        if "8202" not in await self.opx(GATEWAY, "forward", "list"):
            await self.opx(GATEWAY, "forward", "preset", self._site.network.suite, "--client", "69xx", "--apply")

    async def icp(self) -> None:
        """Stage 3."""
        self._say("stage 3: the PBX's node becomes an ICP of the gateway")
        await self.opx(GATEWAY, "icp", "add", NODE, self._site.network.pbx)

    async def token(self) -> None:
        """Stage 4."""
        self._say("stage 4: the suite gets a token for the gateway's web services")
        await self.opx(GATEWAY, "web-services", "start")
        if (self._site.folder / "token").exists():
            return
        allow = [word for permission in PERMISSIONS for word in ("--allow", permission)]
        with contextlib.suppress(DemoFailed):
            await self.opx(GATEWAY, "consumer", "remove", CONSUMER)
        said = await self.opx(GATEWAY, "consumer", "add", CONSUMER_NAME, CONSUMER, *allow)
        secret = _found(r"shared secret[^:]*: (\S+)", said)
        self._site.write("consumer.secret", secret)
        shown = (await self.opx(SUITE, "gateway", "trust")).strip()
        await self.opx(SUITE, "gateway", "trust", shown)
        secret_file = str(self._site.folder / "consumer.secret")
        await self.opx(SUITE, "gateway", "request-token", CONSUMER, "--secret-file", secret_file)
        asked = _found(rf"(\d+)\W+{CONSUMER}", await self.opx(GATEWAY, "token", "list"))
        verifier = _found(r"Verifier: (\S+)", await self.opx(GATEWAY, "token", "approve", asked))
        await self.opx(SUITE, "gateway", "retrieve-token", verifier)
        self._site.write("token", "")

    async def extension(self, number: str) -> None:
        """Stage 5."""
        self._say(f"stage 5: extension {number} uses remote authorization credentials")
        await self._until(
            f"the suite did not read extension {number} from the PBX",
            lambda: self._says(number, SUITE, "extension", "list"),
        )
        await self.opx(SUITE, "extension", "tick", number)
        await self._until(
            f"extension {number} did not come to the gateway", lambda: self._says(number, GATEWAY, "device", "list")
        )

    async def approve(self, mac: str, number: str) -> None:
        """Stage 6, on the suite's side: the phone was seen, and is approved; once, for that makes its secrets anew."""
        shown = ":".join(mac[index : index + 2] for index in range(0, 12, 2))
        await self._until(
            "the phone did not appear on the Phones page", lambda: self._says(shown, SUITE, "phone", "list")
        )
        if "approved" not in await self.opx(SUITE, "phone", "list"):
            await self.opx(SUITE, "phone", "approve", mac, "--extension", number)

    async def firmware(self, model: str, image: bytes) -> None:
        """SIP firmware for unboxed phones, into the suite's library."""
        path = self._site.folder / f"{model}.st"
        path.write_bytes(image)
        await self.opx(SUITE, "firmware", "add", str(path))

    async def password_file(self, number: str) -> Path:
        """A file with an office extension's password, which the PBX made up."""
        site = self._site
        token = (site.folder / "pbx.token").read_text(encoding="utf-8").strip()
        context = ssl.create_default_context(cafile=str(site.folder / "pbx-certificates" / "ca.pem"))
        url = f"https://{site.network.pbx}:8445/api/v1/extensions/{number}"
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            answer = await client.get(url, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        return site.write(f"{number}.password", answer.json()["auth_password"])

    async def opx(self, program: str, *arguments: str) -> str:
        """What a command says. DemoFailed when it ends with another status than 0."""
        config = str(self._site.folder / f"{program}.toml")
        status, said = await run_opx(program, *arguments, "--config", config)
        if status:
            raise DemoFailed(f"opx {program} {' '.join(arguments[:2])} ended with status {status}: {said.strip()}")
        return said

    async def _says(self, wanted: str, *command: str) -> bool:
        return wanted in await self.opx(*command)

    async def _until(self, problem: str, holds: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(TRIES):
            if await holds():
                return
            await asyncio.sleep(POLL)
        raise DemoFailed(problem)


async def run_opx(*arguments: str) -> tuple[int, str]:
    """Exit status and output of a command; it ends with whoever waits for it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "opx", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, said.decode("utf-8", "replace")


def _certificate(path: Path) -> bytes:
    """The first certificate of a PEM file, as it goes over the wire."""
    pem = path.read_text().partition("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(pem[0] + pem[1] + "\n")


def _found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    if match is None:
        raise DemoFailed(f"a command said something else than expected: {said.strip()[:400]}")
    return match[1]
