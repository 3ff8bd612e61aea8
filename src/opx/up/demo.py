"""The demo: a whole site on the loopback network, and a first call from a remote phone to an office phone."""

import asyncio
import os
import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from opx.rtp import tones, wav
from opx.supervisor import Program, StartFailed, Supervisor

REMOTE_TONE = 660
"""Hz that the remote phone plays; the office phone plays the other."""
OFFICE_TONE = 440
CALL_SECONDS = 3
CALL_LIMIT = 60.0
"""Seconds until the demo's call must be over."""
LEAST_HEARD = 1.0
"""Seconds of the other's tone that each phone must have heard."""

REMOTE, OFFICE = "1001", "1002"
"""Extension numbers."""

Say = Callable[[str], None]


class DemoFailed(Exception):
    """The call did not go as it should; the text says why."""


@dataclass(frozen=True, slots=True)
class Network:
    """The demo's addresses below one /16 of the loopback network; `base` is its first two numbers."""

    base: str = "127.0"

    def at(self, rest: str) -> str:
        return f"{self.base}.{rest}"

    @property
    def outside(self) -> str:
        return self.at("10.1")

    @property
    def inside(self) -> str:
        return self.at("20.1")

    @property
    def suite(self) -> str:
        return self.at("20.10")

    @property
    def pbx(self) -> str:
        return self.at("20.20")

    @property
    def office_phone(self) -> str:
        return self.at("20.101")

    @property
    def remote_phone(self) -> str:
        return self.at("30.1")


class Demo:
    """Writes the site's files to `folder`, runs its programs, and makes the call."""

    def __init__(self, folder: Path, network: Network, say: Say) -> None:
        self.folder = folder
        self.network = network
        self._say = say
        self._supervisor = Supervisor(self._on_line)
        self._shown: dict[str, str] = {"gateway": "gateway", "pbx": "PBX node", "suite": "suite"}

    async def start(self) -> None:
        """The site: PBX node, gateway, suite. StartFailed says which program did not start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        network = self.network
        self._write("pbx.toml", self._pbx_settings())
        await self._supervisor.start([Program("pbx", ("pbx", "run", "--config", str(self.folder / "pbx.toml")))])
        credentials = await self._credentials()
        self._write("gateway.toml", self._gateway_settings())
        self._write("devices.toml", self._devices(credentials[REMOTE]))
        self._write("office.password", credentials[OFFICE])
        self._write("suite.toml", f'address = "{network.suite}"\n')
        await self._supervisor.start(
            [
                Program("suite", ("suite", "run", "--config", str(self.folder / "suite.toml"))),
                Program("gateway", ("gateway", "run", "--config", str(self.folder / "gateway.toml"))),
            ]
        )

    async def stop(self) -> None:
        await self._supervisor.stop()

    async def call(self) -> None:
        """Two phones, one call, audio both ways. DemoFailed says what was missing."""
        network = self.network
        recordings = {name: self.folder / f"{name}-heard.wav" for name in ("remote", "office")}
        for path in recordings.values():
            path.unlink(missing_ok=True)
        self._shown |= {"office": f"office phone {OFFICE}", "remote": f"remote phone {REMOTE}"}
        office = Program(
            "office",
            (
                *("phone", "run", "--user", OFFICE, "--password-file", str(self.folder / "office.password")),
                *("--server", network.pbx, "--local", network.office_phone, "--tone", str(OFFICE_TONE)),
                *("--record", str(recordings["office"]), "--calls", "1"),
            ),
            lasting=False,
        )
        remote = Program(
            "remote",
            (
                *("phone", "run", "--user", self._username(), "--password-file", str(self.folder / "remote.password")),
                *("--server", network.outside, "--local", network.remote_phone, "--tone", str(REMOTE_TONE)),
                *("--record", str(recordings["remote"]), "--call", OFFICE, "--duration", str(CALL_SECONDS)),
            ),
            lasting=False,
        )
        self._registered = asyncio.Event()
        await self._supervisor.start([office])
        await _within(self._registered.wait(), "the office phone did not register at the PBX")
        await self._supervisor.start([remote])
        for name in ("remote", "office"):
            running = self._supervisor[name]
            await _within(running.ended.wait(), f"the {name} phone did not finish its call")
            if running.status:
                raise DemoFailed(f"the {name} phone ended with status {running.status}")
        self._check("office phone", recordings["office"], REMOTE_TONE, OFFICE_TONE)
        self._check("remote phone", recordings["remote"], OFFICE_TONE, REMOTE_TONE)

    # --- what it hears and says

    def _on_line(self, name: str, line: str) -> None:
        if name == "office" and line.startswith("registered"):
            self._registered.set()
        self._say(f"{self._shown.get(name, name):<18} {line.removeprefix('ready: ')}")

    def _check(self, who: str, path: Path, wanted: float, own: float) -> None:
        try:
            samples = wav.read(path)
        except (OSError, ValueError) as error:
            raise DemoFailed(f"the {who} recorded nothing: {error}") from None
        # The first and last moments hold the call's beginning and end, not the tone alone.
        middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
        if len(middle) < LEAST_HEARD * wav.RATE:
            raise DemoFailed(f"the {who} heard only {len(samples) / wav.RATE:.1f} s")
        heard = tones.dominant(middle, (wanted, own))
        if heard != wanted:
            raise DemoFailed(f"the {who} did not hear the {wanted:.0f} Hz of the other end")
        share = tones.strength(middle, wanted)
        self._say(f"{who:<18} heard the other end's {wanted:.0f} Hz tone, {share:.0%} of what came in")

    # --- the site's files

    def _write(self, name: str, text: str) -> None:
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        """A secret of the demo, made at its first start."""
        path = self.folder / name
        if not path.exists():
            self._write(name, make())
        return path.read_text(encoding="utf-8").strip()

    def _username(self) -> str:
        return self._kept("remote.username", lambda: f"tw{secrets.token_hex(4)}")

    async def _credentials(self) -> dict[str, str]:
        """The extensions' passwords, from the node's management API."""
        token = (self.folder / "pbx.token").read_text(encoding="utf-8").strip()
        context = ssl.create_default_context(cafile=str(self.folder / "pbx-certificates" / "ca.pem"))
        url = f"https://{self.network.pbx}:8445/api/v1/extensions"
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            answer = await client.get(url, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        return {entry["number"]: entry["auth_password"] for entry in answer.json()}

    def _pbx_settings(self) -> str:
        folder = self.folder
        return f"""\
address = "{self.network.pbx}"
database = "{folder}/pbx.db"
key_file = "{folder}/pbx.key"
certificates = "{folder}/pbx-certificates"
token_file = "{folder}/pbx.token"

[[extension]]
number = "{REMOTE}"
name = "Remote"

[[extension]]
number = "{OFFICE}"
name = "Office"
"""

    def _gateway_settings(self) -> str:
        folder = self.folder
        return f"""\
database = "{folder}/gateway.db"
key_file = "{folder}/gateway.key"
control_socket = "{folder}/gateway.sock"
import_file = "{folder}/devices.toml"

[set_side]
address = "{self.network.outside}"

[icp_side]
address = "{self.network.inside}"
"""

    def _devices(self, icp_password: str) -> str:
        self._kept("remote.password", lambda: secrets.token_urlsafe(15))
        self._write("remote-icp.password", icp_password)
        folder = self.folder
        return f"""\
[[icp]]
name = "Node 1"
type = "MiVoice Office 250"
host = "{self.network.pbx}"

[[device]]
username = "{self._username()}"
password = {{ file = "{folder}/remote.password" }}
icp = "Node 1"
icp_username = "{REMOTE}"
icp_password = {{ file = "{folder}/remote-icp.password" }}
description = "Demo: a phone at home"
"""


async def _within(waiting: Awaitable[object], problem: str) -> None:
    try:
        async with asyncio.timeout(CALL_LIMIT):
            await waiting
    except TimeoutError:
        raise DemoFailed(problem) from None


__all__ = ["Demo", "DemoFailed", "Network", "StartFailed"]
