"""How much a device may ask for: so many at once, and as many again a minute."""


class Allowance:
    """An allowance per device that fills up by itself. `now` is in seconds, on any steady clock."""

    def __init__(self, per_minute: int) -> None:
        self._most = float(per_minute)
        self._left: dict[int, tuple[float, float]] = {}

    def take(self, device_id: int, now: float) -> bool:
        """Take one; False when nothing is left."""
        left, since = self._left.get(device_id, (self._most, now))
        left = min(self._most, left + (now - since) * self._most / 60)
        allowed = left >= 1
        self._left[device_id] = (left - 1 if allowed else left, now)
        return allowed

    def forget(self, device_id: int) -> None:
        """The device was removed."""
        self._left.pop(device_id, None)
