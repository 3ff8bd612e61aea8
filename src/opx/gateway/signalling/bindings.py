"""Bindings: where each device is reached now (RFC 3261 section 10.3), kept in memory, written behind."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from opx.sip.flow import Flow
from opx.sip.timers import Timer, TimerWheel


@dataclass(slots=True, eq=False)
class LiveBinding:
    """One contact of a device. Times are on the timer wheel's clock, in seconds.

    `contact` is the URI that the set named; a request to it goes on `flow` and nowhere else.
    """

    device_id: int
    contact: str
    instance: str
    flow: Flow
    call_id: str
    cseq: int
    user_agent: str
    registered_at: float
    expires_at: float
    open: bool = True
    """False when the flow is a connection that is gone: the device counts as registered, but cannot be reached."""
    timer: Timer | None = None
    """Ends it when its time runs out."""
    watch: Timer | None = None
    """Looks after the way to it; for whoever keeps it alive."""
    said: str = ""
    """The Contact that made it, to the letter, when it was the only one; "" after a restart."""
    asked: int | None = None
    """Seconds that this Contact asks for itself."""

    def same_phone(self, instance: str, contact: str) -> bool:
        """Whether a registration is this phone's again: by its instance id where it has one (RFC 5626)."""
        return instance == self.instance if instance and self.instance else contact == self.contact


@dataclass(frozen=True, slots=True)
class Change:
    """What `put` did: `fresh` when the device had no binding before; `moved` when its phone has a new flow."""

    fresh: bool
    moved: bool
    removed: tuple[LiveBinding, ...] = ()


class BindingTable:
    """All bindings, by device and by flow. `on_lapsed` hears of one whose time ran out."""

    def __init__(self, wheel: TimerWheel, per_device: int, on_lapsed: Callable[[LiveBinding], None]) -> None:
        self._wheel = wheel
        self._per_device = per_device
        self._on_lapsed = on_lapsed
        self._by_device: dict[int, list[LiveBinding]] = {}
        # Ordered sets: a flow may carry the phones of a whole site behind its own gateway.
        self._by_flow: dict[Flow, dict[LiveBinding, None]] = {}
        self._heard: dict[Flow, float] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_device.values()))

    @property
    def devices(self) -> Collection[int]:
        """The ids of those that have a binding, in no order."""
        return self._by_device.keys()

    def of(self, device_id: int) -> list[LiveBinding]:
        """A device's bindings, the newest last."""
        return self._by_device.get(device_id, [])

    def reachable(self, device_id: int) -> LiveBinding | None:
        """The newest binding to which a request can go, None when there is none."""
        return next((binding for binding in reversed(self.of(device_id)) if binding.open), None)

    def registered_from(self, device_id: int, host: str) -> bool:
        """Whether one of a device's phones has registered from that address."""
        return any(binding.flow.remote[0] == host for binding in self.of(device_id))

    def on(self, flow: Flow) -> list[LiveBinding]:
        return list(self._by_flow.get(flow, ()))

    def all(self) -> list[LiveBinding]:
        return [binding for bindings in self._by_device.values() for binding in bindings]

    def heard(self, flow: Flow) -> None:
        """Something valid came on a flow: whoever is bound to it is alive."""
        if flow in self._by_flow:
            self._heard[flow] = self._wheel.now

    def last_heard(self, binding: LiveBinding) -> float:
        """When something came on a binding's flow, on the wheel's clock."""
        return self._heard.get(binding.flow, binding.registered_at)

    def put(self, binding: LiveBinding) -> Change:
        """Add or refresh; beyond the number allowed per device the oldest goes."""
        held = self._by_device.setdefault(binding.device_id, [])
        fresh = not held
        moved = False
        removed = []
        for old in list(held):
            if old.same_phone(binding.instance, binding.contact):
                moved = moved or old.flow != binding.flow
                self._unlink(old)
        while len(held) >= self._per_device:
            removed.append(held[0])
            self._unlink(held[0])
        held.append(binding)
        self._by_device[binding.device_id] = held
        self._by_flow.setdefault(binding.flow, {})[binding] = None
        self._heard[binding.flow] = self._wheel.now
        self._arm(binding)
        return Change(fresh, moved, tuple(removed))

    def refresh(self, binding: LiveBinding, expires: int) -> None:
        """Prolong one that is here, by so many seconds from now."""
        now = self._wheel.now
        sooner = now + expires < binding.expires_at
        binding.registered_at, binding.expires_at = now, now + expires
        # Where the end moves away, the timer that there is finds that out when it comes.
        if sooner:
            self._arm(binding)

    def remove(self, binding: LiveBinding) -> None:
        self._unlink(binding)

    def connection_lost(self, flow: Flow) -> list[LiveBinding]:
        """The bindings of a connection that is gone; they stay until they expire or come back."""
        lost = self.on(flow)
        for binding in lost:
            binding.open = False
        return lost

    def _arm(self, binding: LiveBinding) -> None:
        if binding.timer is not None:
            binding.timer.cancel()
        delay = max(0.0, binding.expires_at - self._wheel.now)
        binding.timer = self._wheel.schedule(delay, lambda: self._lapse(binding))

    def _lapse(self, binding: LiveBinding) -> None:
        if binding.expires_at > self._wheel.now:
            self._arm(binding)
            return
        self._unlink(binding)
        self._on_lapsed(binding)

    def _unlink(self, binding: LiveBinding) -> None:
        for timer in (binding.timer, binding.watch):
            if timer is not None:
                timer.cancel()
        binding.timer = binding.watch = None
        held = self._by_device.get(binding.device_id)
        if held is not None and binding in held:
            held.remove(binding)
            if not held:
                del self._by_device[binding.device_id]
        beside = self._by_flow.get(binding.flow)
        if beside is not None:
            beside.pop(binding, None)
            if not beside:
                del self._by_flow[binding.flow]
                self._heard.pop(binding.flow, None)
