"""What a handset does on its own accord or its user's: action URIs, keys, XML objects and the orders in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opx.phone.call import PhoneCall
from opx.phone.handset import xml_objects
from opx.phone.handset.action_uris import Event, bound
from opx.phone.handset.display import LOGIN, LOGIN_PAGE, NothingThere
from opx.phone.handset.http import HttpError
from opx.phone.handset.keys import Key
from opx.phone.handset.lists import directory_page
from opx.phone.handset.xml_objects import Configuration, Execute, ObjectError, Page, Status, XmlObject
from opx.sip.registration import RegistrationResult, RegistrationState
from opx.sip.timers import Timer

if TYPE_CHECKING:
    from opx.phone.handset.handset import Handset
    from opx.phone.handset.telephony import PhoneLine

MAX_STEPS = 8
"""Objects that lead on to the next without anybody pressing a key: two pages may not keep a handset busy for ever."""
LOG_IN = "Log In"
_SCRIPTS = {"directory": "directory script", "services": "services script", "callers": "callers list script"}


class Actions:
    def __init__(self, handset: Handset) -> None:
        self._handset = handset
        self._states: dict[int, str] = {}
        self._greeted: set[int] = set()
        self._answered_at: dict[PhoneCall, float] = {}
        self._poll: Timer | None = None

    # --- events

    def fire(
        self,
        event: Event,
        line: PhoneLine | None = None,
        call: PhoneCall | None = None,
        state: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Fetch the action URI of an event, where there is one."""
        uri = self._handset.values.get(f"action uri {event}").strip()
        if uri:
            self._handset.spawn(self.go(bound(uri, {**self._variables(line, call, state), **(more or {})})))

    def on_call(self, event: Event, line: PhoneLine, call: PhoneCall) -> None:
        """`event` is incoming, outgoing, connected or disconnected."""
        states = {Event.OUTGOING: "OUTGOING", Event.INCOMING: "INCOMING", Event.CONNECTED: "CONNECTED"}
        state = states.get(event, "CLEARING")
        if event is Event.OUTGOING:
            self.fire(Event.OFFHOOK, line, call, "DIALING")
        now = self._handset.clock.wheel.now
        if event is Event.CONNECTED:
            self._answered_at[call] = now
        seconds = now - self._answered_at.get(call, now)
        if event is Event.DISCONNECTED:
            self._answered_at.pop(call, None)
        self.fire(event, line, call, state, {"CALLDURATION": f"{seconds:.0f}"})
        if event is Event.DISCONNECTED and not self._handset.calls:
            self.fire(Event.ONHOOK, line, call, "IDLE")
        self._handset.touch()

    def on_registration(self, line: PhoneLine, result: RegistrationResult) -> None:
        if result.state is RegistrationState.REGISTERED:
            state, code = "registered", "001"
        elif result.status:
            state, code = "refused", f"{result.status:03}"
        else:
            state, code = "timeout", "000"
        before = self._states.get(line.number)
        self._states[line.number] = state
        if state == "registered" and line.number not in self._greeted:
            self._greeted.add(line.number)
            self.fire(Event.REGISTERED, line)
        if state != before:
            self.fire(Event.REGISTRATION_EVENT, line, more={"REGISTRATIONSTATE": state, "REGISTRATIONCODE": code})

    def start_polling(self) -> None:
        seconds = self._handset.values.number("action uri poll interval", 0)
        if seconds > 0 and self._handset.values.get("action uri poll"):
            self._poll = self._handset.clock.wheel.schedule(float(seconds), self._polled)

    def stop_polling(self) -> None:
        """And forget what was registered: the power is gone."""
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        self._states.clear()
        self._greeted.clear()

    def _polled(self) -> None:
        self.fire(Event.POLL)
        self.start_polling()

    def _variables(self, line: PhoneLine | None, call: PhoneCall | None, state: str) -> dict[str, str]:
        handset = self._handset
        first = line or next(iter(handset.lines), None)
        known = {"LOCALIP": handset.place.local, "LINESTATE": state or "IDLE"}
        if first is not None:
            account = first.settings.proxy
            known |= {
                "SIPUSERNAME": account.username,
                "SIPAUTHNAME": account.auth_name,
                "PROXYURL": account.server,
                "DISPLAYNAME": first.settings.screen_name,
                "REGISTRATIONSTATE": "registered" if first.registered else "unregistered",
            }
        if call is not None:
            known |= {"REMOTENUMBER": call.peer, "CALLDIRECTION": "Incoming" if call.offer else "Outgoing"}
            if call.offer:
                known["INCOMINGNAME"] = call.peer
        return known

    # --- URIs and objects

    async def go(self, uri: str, steps: int = MAX_STEPS) -> None:
        """Fetch a page, or carry out an order; what comes of it is on the screen."""
        handset = self._handset
        if not uri:
            return
        if steps == 0:
            self._failed("too many pages lead to one another")
        elif uri.startswith(("http://", "https://")):
            try:
                answer = await handset.client.get(uri, (("Accept-Language", "en"),))
            except (HttpError, ValueError) as error:
                self._failed(str(error))
                return
            if answer.status != 200:
                self._failed(f"answered {answer.status}")
            else:
                await self.take(answer.body, steps - 1)
        else:
            await self._order(uri, steps - 1)

    async def take(self, data: bytes, steps: int = MAX_STEPS) -> None:
        """An object that came as an answer or in a NOTIFY."""
        try:
            found = xml_objects.read(data)
        except ObjectError as error:
            self._failed(str(error))
            return
        await self._carry_out(found, steps)
        self._handset.touch()

    async def _carry_out(self, found: XmlObject, steps: int) -> None:
        handset = self._handset
        match found:
            case Page():
                handset.display.show(found)
            case Status():
                handset.display.status(found)
            case Execute(uris):
                for uri in uris:
                    await self.go(uri, steps)
            case Configuration(items):
                await self._configure(items)

    async def _configure(self, items: tuple[xml_objects.Configured, ...]) -> None:
        handset = self._handset
        for item in items:
            try:
                if not handset.values.configure(item.name, item.value, item.set_type):
                    handset.say(f"{item.name} is locked and stays as it is")
            except ValueError as error:
                handset.say(str(error))
        one_boot = {item.name.lower(): item.value for item in items if item.set_type.lower() == "oneboot"}
        if one_boot:
            handset.flash.one_boot = one_boot
            handset.wish("reboot")
        await handset.follow_values()

    async def _order(self, uri: str, steps: int) -> None:
        handset = self._handset
        kind, _, rest = uri.partition(":")
        rest = rest.strip()
        match kind.strip().lower():
            case "command" if rest.lower() in ("reset", "fastreboot"):
                handset.wish("reboot")
            case "command" if rest.lower() == "clearlocal":
                handset.flash.local.clear()
                handset.wish("reboot")
            case "led":
                name, _, state = rest.partition("=")
                handset.lamps[name.strip()] = state.strip()
            case "key":
                await self.press(rest, steps)
            case "dial" | "dialline":
                self._dial(rest)
            case _:
                handset.say(f"{uri} does nothing here")

    def _dial(self, number: str) -> None:
        try:
            self._handset.call(number)
        except ValueError as error:
            self._failed(str(error))

    # --- keys

    async def press(self, name: str, steps: int = MAX_STEPS) -> None:
        """A key by what stands on it, softkeys of the page before keys of the handset. NothingThere."""
        handset, display = self._handset, self._handset.display
        try:
            if name.lower() == "goodbye":
                await self._goodbye(steps)
            elif display.page is not None and self._on_page(name):
                await self._follow_page(display.press(name), steps)
            elif handset.asks_for_log_in and name.lower() == LOG_IN.lower():
                display.show(LOGIN_PAGE)
            else:
                await self._press_key(self._key(name), steps)
        finally:
            handset.touch()

    async def choose(self, which: int | str) -> None:
        """An item of the menu on the screen. NothingThere."""
        await self.go(self._handset.display.choose(which))
        self._handset.touch()

    def type_in(self, text: str, prompt: str = "") -> None:
        """Into the page on the screen. NothingThere."""
        self._handset.display.type_in(text, prompt)
        self._handset.touch()

    def _on_page(self, name: str) -> bool:
        display = self._handset.display
        page = display.page
        keys = (page.keys or display.default_keys(page)) if page is not None else ()
        return any(key.label.lower() == name.lower() for key in keys)

    async def _follow_page(self, uri: str, steps: int) -> None:
        handset, display = self._handset, self._handset.display
        if uri != LOGIN:
            await self.go(bound(uri, self._variables(None, None, "")), steps)
            return
        user, password = (display.value(entry) for entry in LOGIN_PAGE.fields)
        display.leave()
        await handset.log_in(user, password)

    async def _goodbye(self, steps: int) -> None:
        calls = self._handset.calls
        if calls:
            self._handset.hang_up(calls[-1])
        elif self._handset.display.page is not None:
            await self.go(self._handset.display.leave(), steps)

    def _key(self, name: str) -> Key:
        present = self._handset.keys
        for key in present:
            if name.lower() in (key.name.lower(), f"{key.place.value}{key.number}"):
                return key
        raise NothingThere(f"there is no key {name}; there are {', '.join(key.name for key in present)}")

    async def _press_key(self, key: Key, steps: int) -> None:
        handset = self._handset
        ringing = [call for line in handset.lines if line.number == key.line for call in line.calls.all if call.waiting]
        script = handset.values.get(_SCRIPTS.get(key.type, "")).strip() if key.type in _SCRIPTS else ""
        if key.type == "line" and ringing:
            handset.answer(ringing[0])
        elif key.type in ("speeddial", "blf", "speeddialxfer", "blfxfer"):
            self._dial(key.value)
        elif key.type == "xml" or script:
            uri = script or key.value or handset.values.get("xml application uri")
            await self.go(bound(uri, self._variables(None, None, "")), steps)
        elif key.type == "directory":
            handset.display.show(directory_page(handset.flash.files))
        elif key.type != "line":
            handset.say(f"{key.name} ({key.type}) does nothing here")

    def _failed(self, why: str) -> None:
        self._handset.display.error = why
        self._handset.say(f"cannot show a page: {why}")
