"""The demo: a whole site on the loopback network, from the guide's first stage to a call from home.

What an engineer does by hand, it does by commands; what the user at home does, an emulated handset does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from opx.rtp import tones, wav
from opx.supervisor import Program, Supervisor
from opx.up.site import GATEWAY, OFFICE, PBX, REMOTE, SUITE, DemoFailed, Network, Site
from opx.up.stages import Stages, run_opx

REMOTE_TONE = 660
"""Hz that the handset at home plays; the office phone plays the other."""
OFFICE_TONE = 440
CALL_SECONDS = 3
PATIENCE = 90.0
"""Seconds for each thing that phones do by themselves."""
LEAST_HEARD = 1.0
"""Seconds of the other's tone that each phone must have heard."""
MAC = "1400E9000101"
MODEL = "6930"
FIRMWARE = b"MITEL 6930 6.4.0.140-SIP\nAn image for the emulated handset.\n"
HOME = "69xx at home"
UNKNOWN = "69xx not approved"
"""The same one, before the suite gives it anything secret."""
OFFICE_PHONE = f"office phone {OFFICE}"

Say = Callable[[str], None]


class Demo:
    """Runs the site's programs in `folder`, carries the stages out, and makes the call."""

    def __init__(self, folder: Path, network: Network, say: Say) -> None:
        self.site = Site(folder, network)
        self._say = say
        self._supervisor = Supervisor(self._on_line)
        self._stages = Stages(self.site, lambda text: self._line("engineer", text))
        self._shown = {GATEWAY: "gateway", PBX: "PBX node", SUITE: "suite"}
        self._awaited: dict[tuple[str, str], asyncio.Event] = {}

    async def start(self) -> None:
        """The site: PBX node, gateway, suite. StartFailed says which program did not start."""
        self.site.prepare()
        await self._supervisor.start([self._program(name) for name in (PBX, SUITE, GATEWAY)])

    async def stop(self) -> None:
        await self._supervisor.stop()

    async def run_through(self) -> None:
        """The six stages and the call. DemoFailed says what went wrong."""
        stages = self._stages
        await stages.addresses()
        await stages.forwards()
        await stages.icp()
        await stages.token()
        await stages.extension(REMOTE)
        await self._office_phone()
        await self._handset()
        await self._call()

    # --- the phones

    async def _office_phone(self) -> None:
        network = self.site.network
        password = await self._stages.password_file(OFFICE)
        registered = self._awaits(OFFICE_PHONE, "registered at")
        arguments = (
            *("phone", "run", "--user", OFFICE, "--password-file", str(password)),
            *("--server", network.pbx, "--local", network.office_phone, "--tone", str(OFFICE_TONE)),
            *("--record", str(self._recording(OFFICE_PHONE)), "--calls", "1"),
        )
        await self._supervisor.start([Program(OFFICE_PHONE, arguments, lasting=False)])
        await _within(registered.wait(), "the office phone did not register at the PBX")

    async def _handset(self) -> None:
        """Stage 6: an unboxed phone is upgraded in the office, taken home, and told where its server is."""
        network = self.site.network
        self._line("engineer", f"stage 6: an unboxed {MODEL} is upgraded in the office and taken home")
        if not (self.site.folder / "handsets" / f"{MAC}.json").exists():
            await self._stages.firmware(MODEL, FIRMWARE)
            in_office = network.at("20.102")
            await self._handset_command("upgrade", f"http://{network.suite}:8203/", local=in_office)
            await self._handset_command("set-server", network.outside, "--password", "22222")
        self._line("user at home", f"HTTPS Server {network.outside}, HTTPS Port 8202, and power")
        await self._supervisor.start([Program(UNKNOWN, self._handset_arguments("run", "--no-screen"), lasting=False)])
        await self._stages.approve(MAC, REMOTE)
        self._line("user at home", "power off and on again")
        await self._supervisor[UNKNOWN].stop()
        registered = self._awaits(HOME, "registered at")
        options = ("--no-screen", "--tone", str(REMOTE_TONE), "--record", str(self._recording(HOME)))
        first = ("--call", OFFICE, "--duration", str(CALL_SECONDS))
        arguments = self._handset_arguments("run", *options, *first)
        await self._supervisor.start([Program(HOME, arguments, lasting=False)])
        await _within(registered.wait(), "the handset did not register through the gateway")

    async def _call(self) -> None:
        """The handset calls the office; both must hear each other."""
        heard = self._awaits(HOME, "heard ")
        await _within(heard.wait(), "the handset did not finish its call")
        office = self._supervisor[OFFICE_PHONE]
        await _within(office.ended.wait(), "the office phone did not finish its call")
        if office.status:
            raise DemoFailed(f"the office phone ended with status {office.status}")
        self._check(OFFICE_PHONE, REMOTE_TONE, OFFICE_TONE)
        self._check(HOME, OFFICE_TONE, REMOTE_TONE)

    async def _handset_command(self, *arguments: str, local: str = "") -> None:
        status, said = await run_opx(*self._handset_arguments(*arguments, local=local))
        if status:
            raise DemoFailed(f"the handset: {said.strip()}")

    def _handset_arguments(self, *arguments: str, local: str = "") -> tuple[str, ...]:
        at = local or self.site.network.remote_phone
        state = str(self.site.folder / "handsets")
        return ("phone", "69xx", "--mac", MAC, "--model", MODEL, "--state", state, "--local", at, *arguments)

    # --- what it hears and says

    def _program(self, name: str) -> Program:
        return Program(name, (name, "run", "--config", str(self.site.folder / f"{name}.toml")))

    def _awaits(self, name: str, words: str) -> asyncio.Event:
        """Set when a program says something with these words in it."""
        return self._awaited.setdefault((name, words), asyncio.Event())

    def _on_line(self, name: str, line: str) -> None:
        for (awaited, words), event in self._awaited.items():
            if awaited == name and words in line:
                event.set()
        self._line(self._shown.get(name, name), line.removeprefix("ready: "))

    def _line(self, who: str, text: str) -> None:
        self._say(f"{who:<18} {text}")

    def _recording(self, name: str) -> Path:
        return self.site.folder / f"{name.replace(' ', '-')}-heard.wav"

    def _check(self, who: str, wanted: float, own: float) -> None:
        try:
            samples = wav.read(self._recording(who))
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
        self._line(who, f"heard the other end's {wanted:.0f} Hz tone, {share:.0%} of what came in")


async def _within(waiting: Awaitable[object], problem: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await waiting
    except TimeoutError:
        raise DemoFailed(problem) from None
