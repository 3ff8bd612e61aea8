"""What stands in requests and answers. Passwords can be written and are never read back."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from opx.gateway.records import MAX_DESCRIPTION, MAX_NAME, MAX_NODES, MAX_PASSWORD, MAX_TYPE

MAX_ID = 2**31 - 1
"""What a database's integer holds."""

MAX_ORIGINS = 500
"""Connections asked for at once."""

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Port = Annotated[int, Field(ge=1, le=65535)]
Ipv4 = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$")]
Transport = Literal["UDP", "TCP"]
Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-_.!~*'()&=+$,;?/]{1,128}$")]
Password = Annotated[SecretStr, Field(max_length=MAX_PASSWORD, json_schema_extra={"writeOnly": True})]

T = TypeVar("T", bound=BaseModel)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """A page of entries in the order of their ids."""

    items: list[T]
    total: int = Field(description="Entries that match, on all pages")
    next: int | None = Field(description="What `after` is for the next page; null: this is the last one")


class ServerView(BaseModel):
    """The gateway. `compatibility_level` says what the web services can do, whatever OPX's own release is."""

    product: Literal["OPX"]
    version: str = Field(description="OPX's own release")
    compatibility_level: int = Field(ge=10)
    mode: Literal["gateway"]
    inside_address: str
    outside_address: str
    sip_port: int = Field(description="Where phones outside reach SIP")
    page_size: int = Field(description="Most entries of a page")
    bulk_size: int = Field(description="Most entries of a bulk write")
    time: int = Field(description="Seconds since 1970")


class TokenView(BaseModel):
    """The token that the request was signed with. Times are seconds since 1970."""

    consumer_id: str
    name: str
    permissions: dict[str, Literal["none", "read", "read-write"]]
    issued_at: int
    expires_at: int


class Node(Part):
    """A further node of the same PBX."""

    host: str = Field(min_length=1, max_length=253)
    port: Port | None = None
    transport: Transport = "UDP"


class IcpWish(Part):
    """A PBX node behind the gateway. Without a port a name's SRV records say, and 5060 where there are none."""

    name: str = Field(min_length=1, max_length=MAX_NAME)
    type: str = Field(default="MiVoice Office 250", max_length=MAX_TYPE)
    host: str = Field(min_length=1, max_length=253, description="Hostname or IP Address")
    port: Port | None = None
    transport: Transport = "UDP"
    nodes: list[Node] = Field(default=[], max_length=MAX_NODES)


class IcpView(BaseModel):
    id: int
    version: int
    name: str
    type: str
    host: str
    port: int | None
    transport: Transport
    nodes: list[Node]


class DeviceWish(Part):
    """A SIP device of the set side.

    Without a set-side password the stored one stays. Without an ICP-side one the stored one stays, or the one of the
    set side serves; "" makes the set side's serve. A blank ICP-side user name is the set side's.
    """

    set_username: Username
    set_password: Password | None = None
    icp_id: Id
    icp_username: Username | Literal[""] = ""
    icp_password: Password | None = None
    description: str = Field(default="", max_length=MAX_DESCRIPTION)
    enabled: bool = True


class DeviceView(BaseModel):
    """`version` rises with every write, `revision` with every write of credentials and only then."""

    id: int
    version: int
    revision: int
    enabled: bool
    description: str
    icp_id: int
    icp: str = Field(description="Name of the ICP")
    set_username: str
    icp_username: str


class BulkCreate(Part):
    op: Literal["create"]
    device: DeviceWish


class BulkUpdate(Part):
    op: Literal["update"]
    id: Id
    version: Id
    device: DeviceWish


class BulkDelete(Part):
    op: Literal["delete"]
    id: Id
    version: Id


BulkEntry = Annotated[BulkCreate | BulkUpdate | BulkDelete, Field(discriminator="op")]


class BulkResult(BaseModel):
    """What became of one entry; `status` is what the same request on its own would have had."""

    status: int
    id: int | None = None
    version: int | None = None
    revision: int | None = None
    error: str | None = None
    message: str | None = None
    field: str | None = None


class BulkResults(BaseModel):
    """In the order of the entries."""

    results: list[BulkResult]


class NoticeWish(Part):
    """`body` is XML for aastra-xml; the others have none."""

    event: Literal["check-sync", "reboot", "aastra-xml"]
    body: str = Field(default="", max_length=32_768)


class NoticeResult(BaseModel):
    status: int = Field(description="The phone's final answer; 480: it cannot be reached, or did not answer")


class RegistrationView(BaseModel):
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


class RegistrationList(BaseModel):
    items: list[RegistrationView]


class ForwardBody(Part):
    """A port forwarding rule."""

    protocol: Literal["TCP", "UDP"]
    ports: str = Field(min_length=1, max_length=1024, examples=["8185", "8186, 8187", "9000-9010"])
    host: str = Field(min_length=1, max_length=64, description="Destination Host IP Address")
    host_port: Port | None = Field(default=None, description="Null: the same port")
    snat: bool = True
    sources: list[Annotated[str, Field(min_length=1, max_length=32)]] = Field(default=[], max_length=64)
    description: str = Field(default="", max_length=255)
    enabled: bool = True
    forced: bool = Field(default=False, description="Lets ports through that the guide wants closed")


class ForwardView(BaseModel):
    id: int
    version: int
    protocol: str
    ports: str
    host: str
    host_port: int | None
    snat: bool
    sources: list[str]
    description: str
    enabled: bool
    forced: bool
    in_force: bool | None = Field(description="Null: not known")
    trouble: str = Field(description="Why it is not in force, or has no effect")
    warnings: list[str]


class ForwardList(BaseModel):
    items: list[ForwardView]


class OriginView(BaseModel):
    """The outside source of a forwarded connection, the gateway's port that it called, and the rule."""

    address: str
    port: int
    outside_port: int
    rule: int | None


class OriginQuestion(Part):
    """A connection as its server sees it: where it seems to come from, and the server's own address and port."""

    address: Ipv4
    port: Port
    host: Ipv4
    host_port: Port


class OriginsBody(Part):
    protocol: Literal["TCP", "UDP"] = "TCP"
    connections: list[OriginQuestion] = Field(min_length=1, max_length=MAX_ORIGINS)


class OriginList(BaseModel):
    """In the order of the connections; null where the gateway has forwarded none from there."""

    items: list[OriginView | None]
