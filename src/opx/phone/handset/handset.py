"""One emulated 69xx: powered on and off, booted, registered, used."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import Enum

from opx.phone.call import PhoneCall
from opx.phone.handset import cfg
from opx.phone.handset.action_uris import Event
from opx.phone.handset.actions import Actions
from opx.phone.handset.boot import Boot, Outcome, Result, digest_of, trust_of
from opx.phone.handset.display import Display
from opx.phone.handset.fetching import Client, Manner, Tally
from opx.phone.handset.flash import Flash
from opx.phone.handset.keys import Key, keys
from opx.phone.handset.lines import LineSettings, LineUnusable, line_settings, looked_up
from opx.phone.handset.models import Identity
from opx.phone.handset.telephony import Owner, PhoneLine, Telephony, TelephonySettings
from opx.phone.handset.values import Values
from opx.phone.media import MediaSettings, Source
from opx.sip.digest import DigestClient
from opx.sip.registration import RegistrationResult, RegistrationState
from opx.sip.transport import WheelClock

MAX_FLASHES = 3
"""In a row: a server whose image is another one each time would keep a handset from ever working."""
RTP_PORTS = (20000, 20500)


class Power(Enum):
    OFF = "off"
    BOOTING = "booting"
    ON = "on"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a handset stands and how it asks. `source` is what it plays in calls; None: silence is not sent.

    `spread` seconds lie between power and its first request, at most, by chance.
    """

    local: str
    port: int = 5060
    manner: Manner = field(default_factory=Manner)
    transports: Sequence[str] = ("UDP", "TCP")
    source: Source | None = None
    auto_answer: bool = False
    spread: float = 0.0


class Handset(Owner):
    """`flash` outlives its power; `saved` is called when it has changed, `on_event` hears in words what happens."""

    def __init__(
        self,
        identity: Identity,
        flash: Flash,
        place: Place,
        clock: WheelClock,
        *,
        on_event: Callable[[str], None] = lambda text: None,
        saved: Callable[[Flash], None] = lambda flash: None,
        tally: Tally | None = None,
    ) -> None:
        self.identity = identity
        self.flash = flash
        self.place = place
        self.clock = clock
        self.power = Power.OFF
        self.boots = 0
        self.failed_registrations = 0
        """Attempts that came to nothing, of all lines since the power came."""
        self.last: Result | None = None
        """What the last reading of the configuration came to."""
        self.values = Values()
        self.display = Display()
        self.lamps: dict[str, str] = {}
        self.telephony: Telephony | None = None
        self.registered = asyncio.Event()
        """Set once a line is registered; cleared with the power."""
        self.client = Client(place.local, "", place.manner, tally)
        self.changed = asyncio.Event()
        """Something that can be seen has changed; whoever draws clears it."""
        self._on_event = on_event
        self._saved = saved
        self._lines: list[LineSettings] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._wish = ""
        self.actions = Actions(self)

    # --- power

    async def power_on(self) -> None:
        """Boot, and go on by itself. OSError when its address is taken."""
        if self.power is not Power.OFF:
            return
        self.power = Power.BOOTING
        self.boots += 1
        self.failed_registrations = 0
        self._load_flash()
        if not self.flash.firmware.sip:
            self.say(f"MiNET firmware {self.flash.firmware.version}: there is no configuration server to set up here")
            self.power = Power.ON
            return
        if self.place.spread:
            await asyncio.sleep(random.uniform(0.0, self.place.spread))
        for _ in range(MAX_FLASHES):
            self.last = await self._boot(firmware=True)
            if self.last.outcome is not Outcome.FLASHED:
                break
            self.boots += 1
            self._load_flash()
        else:
            self.last = await self._boot(firmware=False)
        await self._start_lines()
        self.power = Power.ON
        self.actions.fire(Event.STARTUP)
        self.actions.start_polling()

    async def power_off(self, *, sign_off: bool = False) -> None:
        """The plug is pulled; with `sign_off` it ends calls and registrations first."""
        self.power = Power.OFF
        current = asyncio.current_task()
        for task in list(self._tasks):
            if task is not current:
                task.cancel()
        self.actions.stop_polling()
        if self.telephony is not None:
            await self.telephony.stop(sign_off=sign_off)
            self.telephony = None
        self.client.close()
        self.registered.clear()
        self.display.clear()
        self._lines = []
        self._wish = ""

    async def reboot(self) -> None:
        self.say("reboots")
        await self.power_off(sign_off=True)
        await self.power_on()

    async def resync(self) -> None:
        """Read the configuration anew, and follow what has changed."""
        self.last = await self._boot(firmware=False)
        self.say(self.last.outcome.value + ("" if self.last.changed else ", unchanged"))
        await self.follow_values()

    async def log_in(self, user: str, password: str) -> None:
        """What the Log In key asks for: credentials for the configuration server, which is asked anew."""
        self.flash.digest = (user, password)
        await self.resync()

    async def follow_values(self) -> None:
        """Use the parameters as they are now; lines are set up again only when they have changed."""
        self._saved(self.flash)
        if self._wanted_lines() != self._lines:
            await self._start_lines()
        self.touch()

    # --- state

    @property
    def lines(self) -> list[PhoneLine]:
        return self.telephony.lines if self.telephony is not None else []

    @property
    def calls(self) -> list[PhoneCall]:
        """Those that are not over, the oldest first."""
        return self.telephony.calls if self.telephony is not None else []

    @property
    def keys(self) -> list[Key]:
        return keys(self.values, self.identity.model)

    @property
    def asks_for_log_in(self) -> bool:
        """The server wants its user to log in: the handset shows a Log In softkey of its own."""
        return self.values.flag("http digest force login")

    def touch(self) -> None:
        self.changed.set()

    # --- calls

    def call(self, number: str, line: int = 0) -> PhoneCall:
        """Call from a line, 0: the first one that is registered. ValueError when none is."""
        for candidate in self.lines:
            if candidate.number == line or (not line and candidate.registered):
                assert self.telephony is not None
                call = self.telephony.place(candidate, number)
                self.actions.on_call(Event.OUTGOING, candidate, call)
                return call
        raise ValueError("no line is registered")

    def answer(self, call: PhoneCall) -> None:
        if self.telephony is not None:
            self.telephony.line_of(call).calls.answer(call)

    def hang_up(self, call: PhoneCall) -> None:
        if self.telephony is not None:
            self.telephony.line_of(call).calls.hang_up(call)

    # --- Owner

    def say(self, text: str) -> None:
        self._on_event(text)
        self.touch()

    def on_registration(self, line: PhoneLine, result: RegistrationResult) -> None:
        if result.state is RegistrationState.REGISTERED:
            self.registered.set()
        else:
            self.failed_registrations += 1
            if not any(other.registered for other in self.lines):
                self.registered.clear()
        self.actions.on_registration(line, result)
        self.touch()

    def on_incoming(self, line: PhoneLine, call: PhoneCall) -> None:
        self.actions.on_call(Event.INCOMING, line, call)

    def on_answered(self, line: PhoneLine, call: PhoneCall) -> None:
        self.actions.on_call(Event.CONNECTED, line, call)

    def on_ended(self, line: PhoneLine, call: PhoneCall) -> None:
        self.actions.on_call(Event.DISCONNECTED, line, call)
        self._do_what_waits()

    def on_check_sync(self, reboot: bool) -> None:
        self.say(f"was told to {'reboot' if reboot else 'read its configuration anew'}")
        self.wish("reboot" if reboot or self._wish == "reboot" else "resync")

    def on_xml_notify(self, body: bytes) -> bool:
        if not self.values.flag("sip xml notify event"):
            return False
        if body.strip():
            self.spawn(self.actions.take(body))
        else:
            self.actions.fire(Event.XML_SIP_NOTIFY)
        return True

    # --- what waits for the end of the calls

    def wish(self, what: str) -> None:
        """Reboot or resync, once no call is going on."""
        self._wish = what
        self._do_what_waits()

    def _do_what_waits(self) -> None:
        if not self._wish or self.calls or self.power is not Power.ON:
            return
        wish, self._wish = self._wish, ""
        self.spawn(self.reboot() if wish == "reboot" else self.resync())

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside; it ends with the power."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.say(f"failed: {error}")

    async def idle(self) -> None:
        """Until nothing that it was told to do is under way any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- boot

    def _load_flash(self) -> None:
        flash = self.flash
        self.values = Values(local=flash.local, override=flash.override, one_boot=flash.one_boot)
        flash.one_boot = {}
        self.values.load([cfg.read(text) for text in flash.server_files.values()])
        self.client.user_agent = self.identity.user_agent(flash.firmware.version)
        self.client.trust = trust_of(self.values, flash)

    async def _boot(self, *, firmware: bool) -> Result:
        typed = self.flash.digest
        self.client.digest = DigestClient(*typed) if typed else digest_of(self.values)
        boot = Boot(self.identity, self.flash, self.values, self.client, self.place.manner.delays, self.say)
        result = await boot.run(firmware=firmware)
        if result.outcome in (Outcome.READ, Outcome.FLASHED):
            if "http digest username" in self.values.server:
                # What the server gives from now on takes the place of what its user typed once.
                self.flash.digest = None
            self._saved(self.flash)
        for problem in result.problems:
            self.say(problem)
        return result

    def _wanted_lines(self) -> list[LineSettings]:
        try:
            return line_settings(self.values, self.identity.model)
        except LineUnusable as error:
            self.say(str(error))
            return []

    async def _start_lines(self) -> None:
        self._lines = self._wanted_lines()
        lines = await looked_up(self._lines)
        if self.telephony is not None:
            await self.telephony.stop(sign_off=True)
        self.registered.clear()
        place = self.place
        settings = TelephonySettings(
            place.local,
            place.port,
            f"Mitel {self.identity.model.name}/{self.flash.firmware.version}",
            MediaSettings(place.local, RTP_PORTS, place.source),
            place.auto_answer,
            self.values.flag("sip whitelist"),
            place.transports,
        )
        self.telephony = Telephony(self.clock, settings, lines, self)
        await self.telephony.start()
        self.telephony.register()
