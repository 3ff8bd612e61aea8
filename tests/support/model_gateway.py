"""A gateway's devices in memory, with the rules of its web services, and somebody who changes them by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from opx.gateway_client.models import BulkResult, Create, Delete, Device, DeviceWish, Entry, Update

Secrets = tuple[str, str]


@dataclass
class ModelGateway:
    """`by_hand` are the ids of devices that the suite did not make; it must never delete one of them. `touched` are
    those that somebody has changed."""

    devices: dict[int, Device] = field(default_factory=dict)
    secrets: dict[int, Secrets] = field(default_factory=dict)
    by_hand: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    _last: int = 0

    def bulk(self, entries: Sequence[Entry]) -> list[BulkResult]:
        return [self._one(entry) for entry in entries]

    def add_by_hand(self, set_username: str, icp_id: int, icp_username: str) -> None:
        wish = DeviceWish(set_username=set_username, icp_id=icp_id, icp_username=icp_username, description="by hand")
        if not self._clash(wish, None) and self._named(set_username) is None:
            self.by_hand.add(self._put(wish, None).id)

    def edit_by_hand(self, device_id: int, set_username: str) -> None:
        device = self.devices[device_id]
        if self._named(set_username) in (None, device):
            self.devices[device_id] = device.model_copy(
                update={
                    "set_username": set_username,
                    "version": device.version + 1,
                    "revision": device.revision + 1,
                }
            )
            self.secrets[device_id] = ("changed", "by hand")
            self.touched.add(device_id)

    def remove_by_hand(self, device_id: int) -> None:
        del self.devices[device_id]

    def _one(self, entry: Entry) -> BulkResult:
        match entry:
            case Create():
                named = self._named(entry.device.set_username)
                if named is None:
                    if field_ := self._clash(entry.device, None):
                        return _error(409, "taken", field=field_)
                    device = self._put(entry.device, None)
                    return BulkResult(status=201, id=device.id, version=device.version, revision=device.revision)
                if not self._same(entry.device, named):
                    return _error(409, "exists", named)
                return BulkResult(status=200, id=named.id, version=named.version, revision=named.revision)
            case Update() | Delete():
                device_ = self.devices.get(entry.id)
                if device_ is None:
                    return _error(404, "not_found")
                if device_.version != entry.version:
                    return _error(412, "version_other", device_)
                if isinstance(entry, Delete):
                    del self.devices[entry.id]
                    self.deleted.add(entry.id)
                    return BulkResult(status=204, id=entry.id)
                named = self._named(entry.device.set_username)
                if named is not None and named.id != entry.id:
                    return _error(409, "taken", field="set_username")
                if field_ := self._clash(entry.device, entry.id):
                    return _error(409, "taken", field=field_)
                if not self._same(entry.device, device_):
                    device_ = self._put(entry.device, device_)
                return BulkResult(status=200, id=device_.id, version=device_.version, revision=device_.revision)

    def _named(self, set_username: str) -> Device | None:
        return next((device for device in self.devices.values() if device.set_username == set_username), None)

    def _clash(self, wish: DeviceWish, own: int | None) -> str:
        wanted = (wish.icp_id, wish.icp_username)
        clashing = any((it.icp_id, it.icp_username) == wanted and it.id != own for it in self.devices.values())
        return "icp_username" if clashing else ""

    def _same(self, wish: DeviceWish, device: Device) -> bool:
        fields = ("set_username", "icp_id", "icp_username", "description", "enabled")
        same = all(getattr(wish, name) == getattr(device, name) for name in fields)
        return same and self.secrets[device.id] == _secrets(wish)

    def _put(self, wish: DeviceWish, before: Device | None) -> Device:
        if before is None:
            self._last += 1
        device = Device(
            id=before.id if before else self._last,
            version=before.version + 1 if before else 1,
            revision=before.revision + 1 if before else 1,
            enabled=wish.enabled,
            description=wish.description,
            icp_id=wish.icp_id,
            icp="",
            set_username=wish.set_username,
            icp_username=wish.icp_username,
        )
        self.devices[device.id] = device
        self.secrets[device.id] = _secrets(wish)
        return device


def _secrets(wish: DeviceWish) -> Secrets:
    passwords = (wish.set_password, wish.icp_password)
    one, other = (password.get_secret_value() if password else "" for password in passwords)
    return one, other


def _error(status: int, error: str, device: Device | None = None, field: str | None = None) -> BulkResult:
    result = BulkResult(status=status, error=error, message=error, field=field)
    return result if device is None else result.model_copy(update={"id": device.id, "version": device.version})
