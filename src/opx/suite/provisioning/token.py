"""When the access token has to be renewed, and what is said of it.

A token lasts for twelve months (guide, stage 4). With Read/Write permission for Base/managetoken the suite renews it by
itself; otherwise an administrator presses Renew on the gateway, and is told so in time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from opx.suite.gateway_link.link import GatewayLink
from opx.suite.gateway_link.troubles import WEB_SERVICES_PAGE, LinkError, Reason
from opx.suite.provisioning.settings import ProvisioningSettings
from opx.suite.sites.repository import SiteRepository
from opx.suite.timeline import GATEWAY, Entry, Kind, Timeline

RESOURCE = "Base/managetoken"
READ_WRITE = "read-write"
DAY = 86_400.0
WARNED_AT = (60, 30, 14, 7, 3, 2, 1, 0)
"""Days left at which a warning is repeated on the timeline."""


class Duty(Enum):
    """What is to be done about the token."""

    NOTHING = auto()
    RENEW = auto()
    WARN = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`note` is what the console says as long as it is so; `step` differs when the timeline is to have it again."""

    duty: Duty
    note: str = ""
    step: int = 0


def judge(until: float | None, may_renew: bool | None, now: float, renew_days: int) -> Verdict:
    """`until` and `now` in seconds since 1970; `may_renew` None: the gateway did not tell."""
    if until is None:
        return Verdict(Duty.NOTHING)
    left = (until - now) / DAY
    if left > renew_days:
        return Verdict(Duty.NOTHING)
    if may_renew:
        return Verdict(Duty.RENEW)
    days = max(0, int(left))
    step = next((limit for limit in reversed(WARNED_AT) if days <= limit), renew_days)
    ends = "has ended" if left <= 0 else f"ends in {days} days" if days != 1 else "ends in 1 day"
    why = f", and the suite has no Read/Write permission for {RESOURCE}" if may_renew is False else ""
    return Verdict(Duty.WARN, f"the access token {ends}{why}; press Renew on {WEB_SERVICES_PAGE}", step)


@dataclass(eq=False)
class TokenKeeper:
    """Looks after the token of the site settings."""

    sites: SiteRepository
    timeline: Timeline
    link: GatewayLink
    settings: ProvisioningSettings
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self.due = 0.0
        """When it is to be looked at again, in seconds since 1970."""
        self._may_renew: bool | None = None
        self._warned: int | None = None

    def forget(self) -> None:
        """The token may be another one."""
        self.due = 0.0
        self._may_renew = None

    async def look(self) -> bool:
        """Ask the gateway how long the token lasts, when it is time to, and renew it; whether it lasts longer now.

        LinkError.
        """
        now = self.clock()
        if now < self.due:
            return False
        # Set before it is asked: another token may come meanwhile.
        self.due = now + self.settings.token_look
        try:
            return await self._look(now)
        except LinkError:
            self.due = now
            raise

    async def note(self) -> str:
        """What is to be said of the token now, "" when nothing is."""
        gateway = await self.sites.gateway.read()
        if not gateway.rest_api or not gateway.has_token:
            return ""
        return judge(gateway.token_until, self._may_renew, self.clock(), self.settings.renew_days).note

    async def _look(self, now: float) -> bool:
        stored = (await self.sites.gateway.read()).token_until
        until = await self._told(stored)
        verdict = judge(until, self._may_renew, now, self.settings.renew_days)
        if verdict.duty is Duty.RENEW:
            renewed = await self.link.ask(lambda client: client.renew_token())
            until = float(renewed.expires_at)
            await self._note(Kind.DONE, f"the access token was renewed; it lasts {(until - now) / DAY:.0f} days")
        elif verdict.duty is Duty.WARN and verdict.step != self._warned:
            self._warned = verdict.step
            await self._note(Kind.WARNING, verdict.note)
        if until is None or until == stored:
            return False
        await self.sites.gateway.token_lasts(until)
        return True

    async def _told(self, stored: float | None) -> float | None:
        """Until when it lasts by the gateway's word, or by what was stored where the gateway may not tell."""
        try:
            info = await self.link.ask(lambda client: client.token())
        except LinkError as error:
            if error.reason is not Reason.NOT_PERMITTED:
                raise
            self._may_renew = False
            return stored
        self._may_renew = info.permissions.get(RESOURCE) == READ_WRITE
        return float(info.expires_at)

    async def _note(self, kind: Kind, text: str) -> None:
        await self.timeline.note([Entry(GATEWAY, self.clock(), kind, text)])
