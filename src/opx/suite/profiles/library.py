"""All profiles in memory, and what one phone gets of them: the handset server's `ProfileSource`.

Levels, the weakest first: what the suite gives every phone, the default profile, the model's, the handset's. While a
hot desk extension with a profile of its own is logged in, that stands in the place of the handset's.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from sqlalchemy.exc import DBAPIError

from opx.kept.bulletin import Bulletin
from opx.suite.handsets.catalogue import model_of
from opx.suite.handsets.keys import Key, merge_keys
from opx.suite.handsets.parameters import Parameter
from opx.suite.handsets.profiles import PhoneView, Profiles
from opx.suite.profiles.records import ProfileKind, ProfileRecord, Scope, Use
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.topics import PROFILES

RETRY_SECONDS = 2.0
"""Until a database that did not answer is read again."""

log = logging.getLogger(__name__)


class Extras(Protocol):
    """What the suite gives phones by itself."""

    def parameters(self, view: PhoneView) -> Sequence[Parameter]:
        """Every profile may set these otherwise."""
        ...

    def keys(self, view: PhoneView, hot_desking: bool) -> Sequence[Key]:
        """They come after all other keys of their locations, where there is room; their numbers do not matter."""
        ...


class NoExtras:
    def parameters(self, view: PhoneView) -> Sequence[Parameter]:
        return ()

    def keys(self, view: PhoneView, hot_desking: bool) -> Sequence[Key]:
        return ()


class Library:
    """Implements `handsets.profiles.ProfileSource`."""

    def __init__(self, extras: Extras | None = None) -> None:
        self._extras = extras or NoExtras()
        self._profiles: dict[int, ProfileRecord] = {}
        self._uses: dict[tuple[ProfileKind, Scope, str], int] = {}

    def take(self, profiles: Iterable[ProfileRecord], uses: Iterable[Use]) -> None:
        self._profiles = {profile.id: profile for profile in profiles}
        self._uses = {(use.kind, use.scope, use.target): use.profile_id for use in uses}

    def profiles(self, view: PhoneView) -> Profiles:
        keymaps = self.levels(ProfileKind.KEYMAP, view)
        parameters = [profile.parameters for profile in self.levels(ProfileKind.CONFIGURATION, view)]
        keys = [[_placed(key, view) for key in profile.keys if _reachable(key.value, view)] for profile in keymaps]
        # The strongest keymap that there is says whether gaps stay.
        compress = keymaps[-1].compress if keymaps else True
        keys.append(self._own_keys(view, keys, compress))
        levels = [self._extras.parameters(view), *parameters]
        return Profiles([_addressed(level, view) for level in levels], keys, compress)

    def hot_desking(self, view: PhoneView) -> bool:
        """Whether hot desk extensions may log in at a phone: the strongest level that says something."""
        said = [profile.hot_desking for profile in self.levels(ProfileKind.CONFIGURATION, view)]
        return next((value for value in reversed(said) if value is not None), False)

    def levels(self, kind: ProfileKind, view: PhoneView) -> list[ProfileRecord]:
        """The profiles of a kind that concern a phone, the weakest first."""
        phone = view.phone
        own = phone.keymap_profile_id if kind is ProfileKind.KEYMAP else phone.configuration_profile_id
        if phone.hot_desk_id is not None:
            guest = self._uses.get((kind, Scope.EXTENSION, str(phone.hot_desk_id)))
            own = guest if guest is not None else own
        ids = (
            self._uses.get((kind, Scope.DEFAULT, "")),
            self._uses.get((kind, Scope.MODEL, view.model)),
            own,
        )
        return [self._profiles[key] for key in ids if key is not None and key in self._profiles]

    def _own_keys(self, view: PhoneView, levels: Sequence[Sequence[Key]], compress: bool) -> list[Key]:
        """The suite's own keys behind the others; those that there is no room for are left to the phone's menu."""
        model = model_of(view.model)
        taken = merge_keys(_FIRST, *levels)
        placed: list[Key] = []
        for key in self._extras.keys(view, self.hot_desking(view)):
            here = [other.number for other in (*taken, *placed) if other.location == key.location]
            room = model.keys(model.line_keys if key.location == "top" else "softkey")
            number = max(here, default=0) + 1
            if (len(here) + 1 if compress else number) <= room:
                placed.append(replace(key, number=number))
        return placed


class LibraryKeeper:
    """Fills a library, and keeps it as the database is; `on_change` hears when it has changed. `start`, then `stop`."""

    def __init__(
        self, library: Library, repository: ProfileRepository, bulletin: Bulletin, on_change: Callable[[], None]
    ) -> None:
        self._library = library
        self._repository = repository
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        bulletin.subscribe(PROFILES, lambda keys: self._wake.set())

    async def start(self) -> None:
        """All of it is read when it returns."""
        await self.take_over()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def take_over(self) -> None:
        self._library.take(await self._repository.profiles(), await self._repository.uses())
        self._on_change()

    async def _keep(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.take_over()
            except (DBAPIError, OSError):
                log.exception("profiles could not be read; it is tried again in %.0f s", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()


def _placed(key: Key, view: PhoneView) -> Key:
    """A page of the suite's own, written as a path, gets the address by which this phone reaches it."""
    if key.type == "xml" and key.value.startswith("/"):
        return replace(key, value=view.base + key.value[1:])
    return key


def _addressed(parameters: Sequence[Parameter], view: PhoneView) -> list[Parameter]:
    found = []
    for parameter in parameters:
        value = parameter.value
        if isinstance(value, str) and value.startswith("/") and parameter.key.startswith(_ADDRESSES):
            if not _reachable(value, view):
                continue
            parameter = replace(parameter, value=view.base + value[1:])
        found.append(parameter)
    return found


def _reachable(value: str, view: PhoneView) -> bool:
    """Without a Remote Client Location a teleworker's phone has no address for pages of the suite."""
    return bool(view.base) or not value.startswith("/")


_FIRST = (Key("top", 1, "line"), Key("top", 2, "line"))
"""Every phone has its line keys there unless a profile says otherwise."""
_ADDRESSES = (
    "action uri",
    "xml application uri",
    "directory",
    "services script",
    "callers list script",
    "redial script",
    "background image",
    "screen saver",
)
"""Beginnings of parameters that hold an address."""
