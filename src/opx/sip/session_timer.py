"""Session timers (RFC 4028): both ends of a call learn in bounded time that the other one is gone."""

from collections.abc import Callable
from dataclasses import dataclass

from opx.sip.grammar import holds_token, param_of, parse_params
from opx.sip.message import Request, Response
from opx.sip.timers import Timer, TimerWheel

TIMER = "timer"
"""The option tag."""
LOWEST = 90
"""Seconds: no interval may be shorter (section 5)."""
MAX_RAISES = 3
"""How often a peer may ask for a longer interval with 422; each costs a round trip."""
BYE_MARGIN = 32.0
"""Seconds before the end at which a session that nobody refreshed is given up (section 10)."""


@dataclass(frozen=True, slots=True)
class SessionTimerPolicy:
    """Seconds. `expires` is what we ask for and at most grant; peers that want less than `min_se` are told so."""

    expires: int = 1800
    min_se: int = LOWEST


@dataclass(frozen=True, slots=True)
class Interval:
    """What a Session-Expires says; `refresher` is "uac", "uas" or ""."""

    seconds: int
    refresher: str = ""


def interval_of(message: Request | Response) -> Interval | None:
    """None when there is none that can be read."""
    text = message.get("session-expires")
    if text is None:
        return None
    number, _, rest = text.partition(";")
    number = number.strip()
    if not (number.isascii() and number.isdigit()) or len(number) > 9:
        return None
    refresher = (param_of(parse_params(rest), "refresher") or "").lower()
    return Interval(int(number), refresher if refresher in ("uac", "uas") else "")


def min_se_of(message: Request | Response) -> int:
    """What Min-SE says, at least the lowest that is allowed."""
    number = (message.get("min-se") or "").partition(";")[0].strip()
    return max(LOWEST, int(number)) if number.isascii() and number.isdigit() and len(number) < 10 else LOWEST


def refusal(request: Request, policy: SessionTimerPolicy) -> Response | None:
    """The 422 for a request that wants a shorter interval than we keep up, None for any other (section 9)."""
    asked = interval_of(request)
    if asked is None or asked.seconds >= policy.min_se or not supports_timer(request):
        return None
    response = request.reply(422)
    response.add("min-se", str(policy.min_se))
    return response


def supports_timer(message: Request | Response) -> bool:
    return holds_token(message.get_all("supported"), TIMER)


class SessionTimer:
    """One session's. `refresh` is called when it is our turn, `expired` when the peer let its turn pass."""

    def __init__(
        self,
        wheel: TimerWheel,
        policy: SessionTimerPolicy,
        refresh: Callable[[], None],
        expired: Callable[[], None],
    ) -> None:
        self.interval = policy.expires
        self.we_refresh = True
        self._agreed = False
        self._raises = 0
        self._min_se = policy.min_se
        self._wheel = wheel
        self._policy = policy
        self._refresh = refresh
        self._expired = expired
        self._timer: Timer | None = None

    def ask(self, request: Request) -> None:
        """Put our wish into an INVITE or UPDATE of ours."""
        refresher = ";refresher=uac" if self.we_refresh else ";refresher=uas"
        request.add("session-expires", f"{max(self.interval, self._min_se)}{refresher if self._agreed else ''}")
        if self._min_se > LOWEST:
            request.add("min-se", str(self._min_se))

    def too_small(self, response: Response) -> bool:
        """A 422 to our request: whether another try with its Min-SE makes sense."""
        wanted = min_se_of(response)
        if wanted <= max(self._min_se, self.interval) or self._raises >= MAX_RAISES:
            return False
        self._raises += 1
        self._min_se = self.interval = wanted
        return True

    def grant(self, request: Request, response: Response) -> None:
        """We answer 2xx: settle the interval, say it, and start over (section 9)."""
        asked = interval_of(request)
        lowest = max(min_se_of(request), self._policy.min_se)
        self.interval = max(lowest, min(asked.seconds, self._policy.expires)) if asked else max(lowest, self.interval)
        refresher = "uas"
        if supports_timer(request):
            refresher = asked.refresher if asked and asked.refresher else "uas"
        response.add("session-expires", f"{self.interval};refresher={refresher}")
        if refresher == "uac":
            response.add("require", TIMER)
        self._start(refresher == "uas")

    def granted(self, response: Response) -> None:
        """The peer answered 2xx to our INVITE or UPDATE (section 7.2). We look after one that knows no timers."""
        said = interval_of(response)
        if said is not None:
            self.interval = max(LOWEST, said.seconds)
        self._start(said is None or said.refresher != "uas")

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def let_go(self) -> None:
        """The session is over and not to be called any more."""
        self.stop()
        self._refresh = self._expired = _nothing

    def try_again(self, delay: float) -> None:
        """A refresh could not be sent now, or failed without saying that the session is gone."""
        self.stop()
        self._timer = self._wheel.schedule(delay, self._refresh)

    def _start(self, we_refresh: bool) -> None:
        self.stop()
        self._agreed = True
        self.we_refresh = we_refresh
        if we_refresh:
            self._timer = self._wheel.schedule(self.interval / 2, self._refresh)
        else:
            margin = min(BYE_MARGIN, self.interval / 3)
            self._timer = self._wheel.schedule(self.interval - margin, self._expired)


def _nothing() -> None:
    """What is due for a session that is over."""
