"""Who is told what, and when: one order a phone, spread over time, tried again with growing gaps. Sans I/O."""

from collections.abc import Container
from dataclasses import dataclass, replace
from enum import StrEnum

PER_SECOND = 20.0
"""Phones that are told; each then fetches some files over a connection of its own."""
GAPS = (30.0, 60.0, 120.0, 300.0, 900.0)
"""Seconds until an order is tried again; after as many failures it is given up."""
BUSY_GAP = 15.0
"""Seconds until a phone in a call is looked at again; that is no failure."""


class Order(StrEnum):
    """What a phone is to do; a later one in the list says all that those before it do."""

    IDENTIFY = "identify"
    CHECK = "check"
    """To look for its configuration, once, whether or not there is something new."""
    RESYNC = "resync"
    """To fetch what is new, until it has come for it."""
    REBOOT = "reboot"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order that waits until `due`. `tries` were made so far."""

    mac: str
    order: Order
    due: float
    tries: int = 0


class OrderQueue:
    """Times are the caller's, in seconds."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._next = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def want(self, mac: str, order: Order, now: float) -> None:
        """A phone is to do something. What waits for it already is not told twice, and begins anew."""
        known = self._waiting.get(mac)
        orders = list(Order)
        if known is not None and known.tries == 0 and orders.index(known.order) >= orders.index(order):
            return
        if known is not None and orders.index(known.order) > orders.index(order):
            order = known.order
        self._next = max(self._next + 1 / PER_SECOND, now)
        self._waiting[mac] = Waiting(mac, order, self._next)

    def due(self, now: float) -> list[Waiting]:
        """Those to be told now, in order. Each stays until `done`, `failed`, `later` or `drop`."""
        return sorted((item for item in self._waiting.values() if item.due <= now), key=lambda item: item.due)

    def next_due(self, apart_from: Container[str] = ()) -> float | None:
        return min((item.due for item in self._waiting.values() if item.mac not in apart_from), default=None)

    def drop(self, item: Waiting) -> None:
        """It needs nothing any more; a newer order stays."""
        if self._waiting.get(item.mac) == item:
            del self._waiting[item.mac]

    def later(self, item: Waiting, now: float) -> None:
        """The phone is in a call."""
        if self._waiting.get(item.mac) == item:
            self._waiting[item.mac] = replace(item, due=now + BUSY_GAP)

    def failed(self, item: Waiting, now: float) -> bool:
        """Whether it is tried again."""
        if self._waiting.get(item.mac) != item:
            return True
        if item.tries >= len(GAPS):
            del self._waiting[item.mac]
            return False
        self._waiting[item.mac] = replace(item, due=now + GAPS[item.tries], tries=item.tries + 1)
        return True
