"""Hot desking: an extension that is at whichever phone its user logged in."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from opx.pbx.local_calls import LocalCall
from opx.pbx.office import Office
from opx.rtp.tones import CONFIRMATION, ERROR

PinCheck = Callable[[str, str, Callable[[bool], None]], None]
"""Gets a kept PIN, the digits of a try, and who hears whether they match; a check is slow by design."""

MAX_KEYS = 16
"""Digits of a number or PIN; whoever presses more is not logging in."""
KEY_SECONDS = 15.0
"""How long a log-in by keys waits for the next key."""


class HotDesk:
    """One phone at a time per extension, one extension at a time per phone.

    After `tries` wrong PINs an extension can be logged in nowhere for `lockout` seconds.
    """

    def __init__(self, office: Office, check: PinCheck, *, tries: int, lockout: float) -> None:
        self._office = office
        self._check = check
        self._tries = tries
        self._lockout = lockout
        self._failures: Counter[str] = Counter()

    def log_in(self, number: str, phone: str, pin: str, done: Callable[[bool], None]) -> None:
        """Log an extension in at a phone; `done` hears whether that went well, and never why it did not."""

        def checked(matches: bool) -> None:
            # The phone may have been removed meanwhile.
            well = matches and phone in self._office.extensions
            if well:
                self.place(number, phone)
            done(well)

        self.verify(number, phone, pin, checked)

    def verify(self, number: str, phone: str, pin: str, done: Callable[[bool], None]) -> None:
        """Whether a PIN is the extension's; a try like any other. `phone` is where it was typed, for the log."""
        if not self._admits(number):
            # A number that does not exist takes as long as a wrong PIN.
            self._check("", pin, lambda matches: done(False))
            return
        # Counted before the check is done, so that tries side by side are bounded, too.
        if self._failures[number] >= self._tries:
            self._office.say(f"hot desk {number}: locked, a try at phone {phone} was turned away")
            done(False)
            return
        self._failures[number] += 1

        def checked(matches: bool) -> None:
            if matches:
                self._failures.pop(number, None)
            else:
                self._note_failure(number, phone)
            # The extension may have been removed meanwhile.
            done(matches and self._admits(number))

        self._check(self._office.states.of(number).pin, pin, checked)

    def place(self, number: str, phone: str) -> None:
        """Have an extension at a phone, whoever was there and wherever it was; "" is nowhere."""
        states = self._office.states
        if phone:
            guest = self._office.states.guest_at(phone)
            if guest and guest != number:
                states.put(guest, replace(states.of(guest), phone=""))
        states.put(number, replace(states.of(number), phone=phone))

    def log_out(self, phone: str) -> bool:
        """Log out whoever is logged in at a phone; whether somebody was."""
        guest = self._office.states.guest_at(phone)
        if guest:
            self.place(guest, "")
        return bool(guest)

    def problem(self, number: str, phone: str) -> str:
        """Why an extension cannot be at a phone, "" when it can."""
        record, host = self._office.extensions.get(number), self._office.extensions.get(phone)
        if record is None or not record.hot_desk:
            return f"{number} is no hot desk extension"
        if host is None or host.hot_desk:
            return f"{phone} is no extension of a phone"
        return ""

    def _admits(self, number: str) -> bool:
        record = self._office.extensions.get(number)
        return record is not None and record.hot_desk and bool(self._office.states.of(number).pin)

    def _note_failure(self, number: str, phone: str) -> None:
        count = self._failures[number]
        self._office.say(f"hot desk {number}: wrong PIN at phone {phone} ({count} of {self._tries})")
        if count >= self._tries:
            self._office.say(f"hot desk {number}: locked for {self._lockout:.0f} s")
            self._office.agent.wheel.schedule(self._lockout, lambda: self._unlock(number))

    def _unlock(self, number: str) -> None:
        self._failures.pop(number, None)


class LogInByKeys:
    """The dialogue of a log-in call: number, #, PIN, #; a tone asks for each. With a number only the PIN is asked."""

    def __init__(self, hot_desk: HotDesk, phone: str, number: str) -> None:
        self._hot_desk = hot_desk
        self._phone = phone
        self._number = number
        self._keys = ""
        self._call: LocalCall | None = None
        self._closed = False

    def begin(self, call: LocalCall) -> None:
        self._call = call
        call.play(CONFIRMATION)
        call.limit(KEY_SECONDS)

    def on_key(self, key: str) -> None:
        if self._call is None or self._closed:
            return
        self._call.limit(KEY_SECONDS)
        if key != "#":
            self._keys += key
            if len(self._keys) > MAX_KEYS:
                self._finish(False)
            return
        keys, self._keys = self._keys, ""
        if not self._number and keys:
            self._number = keys
            self._call.play(CONFIRMATION)
        elif self._number and keys:
            self.try_pin(keys)

    def try_pin(self, pin: str) -> None:
        """The PIN is there; what comes of it ends the call."""
        self._closed = True
        self._hot_desk.log_in(self._number, self._phone, pin, self._finish)

    def _finish(self, well: bool) -> None:
        self._closed = True
        if self._call is not None:
            self._call.finish(CONFIRMATION if well else ERROR)
