"""The ICPs and devices that signalling knows, in memory: no message waits for a database."""

from collections.abc import Iterable

from opx.gateway.repository import DeviceRecord, IcpRecord


class Directory:
    """Look-ups by what messages carry. `replace` swaps the whole content after a change in the database."""

    def __init__(self) -> None:
        self._icps: dict[int, IcpRecord] = {}
        self._devices: dict[int, DeviceRecord] = {}
        self._by_username: dict[str, DeviceRecord] = {}
        self._by_icp_user: dict[tuple[int, str], DeviceRecord] = {}

    def replace(self, icps: Iterable[IcpRecord], devices: Iterable[DeviceRecord]) -> None:
        self._icps = {icp.id: icp for icp in icps}
        self._devices = {device.id: device for device in devices}
        self._by_username = {device.set_username: device for device in self._devices.values()}
        self._by_icp_user = {(device.icp_id, device.icp_username): device for device in self._devices.values()}

    @property
    def icps(self) -> list[IcpRecord]:
        return list(self._icps.values())

    @property
    def devices(self) -> list[DeviceRecord]:
        return list(self._devices.values())

    def icp(self, icp_id: int) -> IcpRecord | None:
        return self._icps.get(icp_id)

    def device(self, device_id: int) -> DeviceRecord | None:
        return self._devices.get(device_id)

    def by_username(self, username: str) -> DeviceRecord | None:
        """The device that authenticates with this set-side user name."""
        return self._by_username.get(username)

    def by_icp_user(self, icp_id: int, username: str) -> DeviceRecord | None:
        """The device that is registered at an ICP under this ICP-side user name."""
        return self._by_icp_user.get((icp_id, username))
