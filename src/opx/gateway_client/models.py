"""What is read from the gateway and written to it. Answers may hold more than is known here."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Transport = Literal["UDP", "TCP"]


class Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Wish(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def body(self) -> dict[str, Any]:
        """As it goes over the wire."""
        return self.model_dump(mode="json")


class Server(Read):
    """The gateway. Times are seconds since 1970; `page_size` and `bulk_size` are the most entries of a page and of a
    bulk write, on the safe side for gateways that do not tell."""

    product: str
    version: str
    compatibility_level: int
    mode: str
    inside_address: str
    outside_address: str
    sip_port: int
    time: int
    page_size: int | None = None
    bulk_size: int = 100


class TokenInfo(Read):
    """The own token."""

    consumer_id: str
    name: str
    permissions: dict[str, str]
    issued_at: int
    expires_at: int


class Node(Wish):
    """A further node of an ICP's PBX."""

    host: str
    port: int | None = None
    transport: Transport = "UDP"


class IcpWish(Wish):
    """A PBX node behind the gateway as it is asked for. Without a port DNS says."""

    name: str
    host: str
    port: int | None = None
    transport: Transport = "UDP"
    type: str = "MiVoice Office 250"
    nodes: tuple[Node, ...] = ()


class Icp(Read):
    id: int
    version: int
    name: str
    type: str
    host: str
    port: int | None
    transport: Transport
    nodes: tuple[Node, ...]

    @property
    def hosts(self) -> frozenset[str]:
        """Hostname or IP Address of every node."""
        return frozenset({self.host, *(node.host for node in self.nodes)})


class DeviceWish(Wish):
    """A device as it is asked for. None as a password leaves the stored one; "" as the ICP-side one makes the set
    side's serve."""

    set_username: str
    icp_id: int
    set_password: SecretStr | None = None
    icp_username: str = ""
    icp_password: SecretStr | None = None
    description: str = ""
    enabled: bool = True

    def body(self) -> dict[str, Any]:
        values = self.model_dump(mode="json", exclude={"set_password", "icp_password"})
        for name, password in (("set_password", self.set_password), ("icp_password", self.icp_password)):
            if password is not None:
                values[name] = password.get_secret_value()
        return values


class Device(Read):
    """A SIP device of the set side. `revision` changes with its credentials, `version` with every write."""

    id: int
    version: int
    revision: int
    enabled: bool
    description: str
    icp_id: int
    icp: str
    set_username: str
    icp_username: str


class Create(Wish):
    """Part of a bulk write: make a device that there is none of yet."""

    op: Literal["create"] = "create"
    device: DeviceWish

    def body(self) -> dict[str, Any]:
        return {"op": self.op, "device": self.device.body()}


class Update(Wish):
    """Part of a bulk write: change the device that has been seen at `version`."""

    op: Literal["update"] = "update"
    id: int
    version: int
    device: DeviceWish

    def body(self) -> dict[str, Any]:
        return {"op": self.op, "id": self.id, "version": self.version, "device": self.device.body()}


class Delete(Wish):
    """Part of a bulk write: remove the device that has been seen at `version`."""

    op: Literal["delete"] = "delete"
    id: int
    version: int


Entry = Annotated[Create | Update | Delete, Field(discriminator="op")]


class BulkResult(Read):
    """What became of one entry. `error` None: it was done."""

    status: int
    id: int | None = None
    version: int | None = None
    revision: int | None = None
    error: str | None = None
    message: str | None = None
    field: str | None = None


class Registration(Read):
    """One phone of a device. Times are seconds since 1970."""

    host: str
    port: int
    transport: str
    user_agent: str
    registered_at: float
    expires_at: float
    last_seen: float
    reachable: bool
    at_icp: bool


class ForwardWish(Wish):
    """A port forwarding rule as it is asked for. `ports` as in "8185", "8186, 8187" or "9000-9010"."""

    protocol: Literal["TCP", "UDP"]
    ports: str
    host: str
    host_port: int | None = None
    snat: bool = True
    sources: tuple[str, ...] = ()
    description: str = ""
    enabled: bool = True
    forced: bool = False


class Forward(Read):
    """`in_force` None: not known. `trouble` says why it is not in force, or has no effect."""

    id: int
    version: int
    protocol: str
    ports: str
    host: str
    host_port: int | None
    snat: bool
    sources: tuple[str, ...]
    description: str
    enabled: bool
    forced: bool
    in_force: bool | None
    trouble: str
    warnings: tuple[str, ...]


class Origin(Read):
    """Who is behind a forwarded connection."""

    address: str
    port: int
    outside_port: int
    rule: int | None
