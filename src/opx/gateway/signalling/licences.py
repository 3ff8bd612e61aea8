"""Teleworker licences: one for each registered device, however often it refreshes."""


class Licences:
    """Counts the devices that hold one. `total` None: unlimited."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._holders: set[int] = set()

    @property
    def used(self) -> int:
        return len(self._holders)

    def take(self, device_id: int) -> bool:
        """Give a licence to a device; True at once for one that holds one, so a refresh is never refused."""
        if device_id in self._holders:
            return True
        if self.total is not None and len(self._holders) >= self.total:
            return False
        self._holders.add(device_id)
        return True

    def holds(self, device_id: int) -> bool:
        return device_id in self._holders

    def release(self, device_id: int) -> None:
        self._holders.discard(device_id)
