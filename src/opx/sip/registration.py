"""Keeping one address of record registered at a registrar (RFC 3261 section 10.2), from the client's end."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from opx.sip.address import NameAddr
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.answering import redirect_targets, retry_after_of
from opx.sip.dialog import MAX_FORWARDS
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import Outcome
from opx.sip.flow import Destination, Flow
from opx.sip.message import Request, Response
from opx.sip.timers import Timer
from opx.sip.transactions import Failure


class RegistrationState(Enum):
    IDLE = "not asked for"
    TRYING = "under way"
    REGISTERED = "registered"
    REFUSED = "refused"
    UNREACHABLE = "no answer"


@dataclass(frozen=True, slots=True)
class RegistrationPolicy:
    """Seconds. A refresh goes out when `refresh_at` of the granted time has passed."""

    expires: int = 3600
    refresh_at: float = 0.8
    retry_min: float = 2.0
    retry_max: float = 300.0
    refused_retry: float = 300.0
    """A registrar that refused the credentials is asked again only so often, lest it lock the account."""


@dataclass(frozen=True, slots=True)
class RegistrationResult:
    """What an attempt came to. `status` is the registrar's last answer, 0 when none came."""

    state: RegistrationState
    status: int = 0
    expires: float = 0.0
    """Seconds granted from now."""
    retry_in: float = 0.0
    retry_after: int | None = None
    """As the registrar said it; `retry_in` honours it up to the policy's `retry_max`."""
    targets: tuple[str, ...] = ()
    """URIs that a 3xx names, the most wanted first; it is the owner's to follow them (`ClientRegistration.move`)."""


class ClientRegistration:
    """Registers `contact` for `aor`, refreshes it, and tries again when it fails.

    `on_result` hears of every attempt. `call_id` and `cseq` continue a registration of before a restart.
    """

    def __init__(
        self,
        agent: UserAgent,
        route: Flow | Destination,
        *,
        aor: str,
        registrar: str,
        contact: str,
        credentials: DigestClient,
        on_result: Callable[[RegistrationResult], None],
        policy: RegistrationPolicy | None = None,
        call_id: str = "",
        cseq: int = 0,
    ) -> None:
        self.state = RegistrationState.IDLE
        self.call_id = call_id or new_call_id()
        self.cseq = cseq
        self.route = route
        self.contact = contact
        self.expires_at = 0.0
        """When the binding at the registrar ends, on the agent's clock; 0 without one."""
        self._agent = agent
        self._aor = aor
        self._registrar = registrar
        self._credentials = credentials
        self._on_result = on_result
        self._policy = policy or RegistrationPolicy()
        self._asked = self._policy.expires
        self._tag = new_tag()
        self._timer: Timer | None = None
        self._failures = 0
        self._busy = False
        self._again_at_once = False
        self._wanted = False
        self._moves = 0

    @property
    def registered(self) -> bool:
        return self.state is RegistrationState.REGISTERED and self.expires_at > self._agent.now

    @property
    def under_way(self) -> bool:
        """A REGISTER waits for its answer."""
        return self._busy

    def start(self, delay: float = 0.0) -> None:
        """Register, now or after `delay` seconds; also renews at once what is registered already."""
        self._wanted = True
        self._stop_timer()
        if delay > 0:
            self._schedule(delay)
        else:
            self._attempt()

    def resume(self, remaining: float) -> None:
        """Go on with a binding that the registrar still has for `remaining` seconds."""
        self._wanted = True
        self.state = RegistrationState.REGISTERED
        self.expires_at = self._agent.now + remaining
        self._schedule(max(0.0, remaining - self._policy.expires * (1 - self._policy.refresh_at)))

    def move(self, route: Flow | Destination, *, aor: str, registrar: str, contact: str) -> None:
        """Another registrar is asked from the next `start` on.

        What is under way at the old one is given up, and what it holds is left to end by itself: registrars that
        share their bindings would lose ours. Call-ID and CSeq go on, so that such registrars see the newer one.
        """
        self._moves += 1
        self._busy = self._again_at_once = False
        self._stop_timer()
        self.route = route
        self.contact = contact
        self._aor = aor
        self._registrar = registrar

    def stop(self) -> None:
        """Take the binding away at the registrar, without waiting for its answer."""
        had = self._wanted and (self.expires_at > self._agent.now or self._busy)
        self.forget()
        if had:
            self._send(0)

    def forget(self) -> None:
        """Stop, and leave the registrar as it is."""
        self._wanted = False
        self._stop_timer()
        self.expires_at = 0.0
        self.state = RegistrationState.IDLE

    # --- attempts

    def _attempt(self) -> None:
        self._timer = None
        if not self._wanted:
            return
        if self._busy:
            self._again_at_once = True
            return
        if self.state is not RegistrationState.REGISTERED:
            self.state = RegistrationState.TRYING
        self._send(self._asked)

    def _send(self, expires: int) -> None:
        self.cseq += 1
        request = Request.new("REGISTER", self._registrar)
        request.add("max-forwards", MAX_FORWARDS)
        request.add("from", f"<{self._aor}>;tag={self._tag}")
        request.add("to", f"<{self._aor}>")
        request.add("call-id", self.call_id)
        request.add("cseq", f"{self.cseq} REGISTER")
        request.add("contact", f"<{self.contact}>;expires={expires}")
        request.add("expires", str(expires))
        self._busy = True
        moves = self._moves
        self._agent.exchange(
            request,
            self.route,
            lambda outcome: self._on_final(outcome) if moves == self._moves else None,
            credentials=self._credentials,
            next_cseq=self._next_cseq,
        )

    def _next_cseq(self) -> int:
        self.cseq += 1
        return self.cseq

    def _on_final(self, outcome: Outcome) -> None:
        self._busy = False
        if not self._wanted:
            return
        if self._again_at_once:
            self._again_at_once = False
            self._attempt()
            return
        if isinstance(outcome, Failure):
            self._failed(RegistrationState.UNREACHABLE, 0, None)
        elif outcome.status < 300:
            self._succeeded(outcome)
        elif outcome.status == 423 and self._ask_for_longer(outcome):
            self._attempt()
        elif outcome.status in (401, 403, 404, 407):
            self._failed(RegistrationState.REFUSED, outcome.status, retry_after_of(outcome))
        else:
            targets = redirect_targets(outcome) if outcome.status < 400 else ()
            self._failed(RegistrationState.UNREACHABLE, outcome.status, retry_after_of(outcome), targets)

    def _ask_for_longer(self, response: Response) -> bool:
        value = (response.get("min-expires") or "").strip()
        if value.isascii() and value.isdigit() and self._asked < int(value) < 2**31:
            self._asked = int(value)
            return True
        return False

    def _succeeded(self, response: Response) -> None:
        granted = granted_expires(response, self.contact, self._asked)
        if granted <= 0:
            self._failed(RegistrationState.UNREACHABLE, response.status, None)
            return
        self._failures = 0
        self.state = RegistrationState.REGISTERED
        self.expires_at = self._agent.now + granted
        # The last round trips before the end must still fit in, whatever the share.
        self._schedule(max(1.0, min(granted * self._policy.refresh_at, granted - 5.0)))
        self._on_result(RegistrationResult(self.state, response.status, expires=granted))

    def _failed(
        self, state: RegistrationState, status: int, retry_after: int | None, targets: tuple[str, ...] = ()
    ) -> None:
        self._failures += 1
        if state is RegistrationState.REFUSED:
            delay = self._policy.refused_retry
            self.expires_at = 0.0
        else:
            delay = min(self._policy.retry_min * 2 ** (self._failures - 1), self._policy.retry_max)
            delay *= random.uniform(0.75, 1.0)
        if retry_after is not None:
            delay = max(delay, min(float(retry_after), self._policy.retry_max))
        self.state = state
        self._schedule(delay)
        self._on_result(RegistrationResult(state, status, retry_in=delay, retry_after=retry_after, targets=targets))

    # --- timers

    def _schedule(self, delay: float) -> None:
        self._stop_timer()
        self._timer = self._agent.wheel.schedule(delay, self._attempt)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def granted_expires(response: Response, contact: str, asked: int) -> float:
    """Seconds that a registrar granted to `contact`: its own parameter, the Expires header, else what was asked.

    0 when the registrar lists other contacts only, and so did not bind ours.
    """
    listed = response.values("contact")
    for value in listed:
        try:
            address = NameAddr.parse(value)
        except RemoteProtocolError:
            continue
        if str(address.uri) == contact or _same_place(str(address.uri), contact):
            own = address.param("expires")
            if own is not None and own.isascii() and own.isdigit():
                return float(int(own))
            break
    else:
        if listed:
            return 0.0
    expires = response.expires
    return float(asked if expires is None else expires)


def requested_expires(contact: NameAddr, request: Request, default: int, maximum: int) -> int:
    """Seconds that a REGISTER asks for one contact: its own parameter before the Expires header, at most `maximum`."""
    own = own_expires(contact)
    return bounded_expires(request.expires if own is None else own, default, maximum)


def bounded_expires(asked: int | None, default: int, maximum: int) -> int:
    """Seconds for a registration that asks for `asked`, None when it says nothing."""
    return default if asked is None else min(asked, maximum)


def own_expires(contact: NameAddr) -> int | None:
    """Seconds that a contact asks for by its parameter, None when it has none that can be read."""
    text = contact.param("expires")
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _same_place(one: str, other: str) -> bool:
    """Registrars add and reorder URI parameters; user, host and port are what tells our contact from another."""
    return one.partition(";")[0].lower() == other.partition(";")[0].lower()
