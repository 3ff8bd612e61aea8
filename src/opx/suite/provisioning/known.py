"""The gateway's devices as the suite last saw them."""

from collections.abc import Iterable

from opx.gateway_client.models import Device


class Known:
    """By id, by set-side name, and by name at the ICP; the gateway lets none of them stand twice."""

    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._by_id: dict[int, Device] = {}
        self._by_set: dict[str, int] = {}
        self._at_icp: dict[tuple[int, str], int] = {}
        for device in devices:
            self.put(device)

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, device: Device) -> None:
        self.drop(device.id)
        self._by_id[device.id] = device
        self._by_set[device.set_username] = device.id
        self._at_icp[device.icp_id, device.icp_username] = device.id

    def drop(self, device_id: int) -> None:
        device = self._by_id.pop(device_id, None)
        if device is None:
            return
        # The name may be another's meanwhile.
        if self._by_set.get(device.set_username) == device_id:
            del self._by_set[device.set_username]
        if self._at_icp.get((device.icp_id, device.icp_username)) == device_id:
            del self._at_icp[device.icp_id, device.icp_username]

    def get(self, device_id: int | None) -> Device | None:
        return self._by_id.get(device_id) if device_id is not None else None

    def named(self, set_username: str) -> Device | None:
        return self.get(self._by_set.get(set_username))

    def at_icp(self, icp_id: int, icp_username: str) -> Device | None:
        return self.get(self._at_icp.get((icp_id, icp_username)))
