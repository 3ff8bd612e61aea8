"""The gateway's tables. No column holds a password that can be read without the key file."""

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from opx.store.engine import BIG_ID
from opx.store.names import CONSTRAINT_NAMES


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)


class Setting(Base):
    """What is fixed at the first start, such as the digest realm."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(1024))


class Icp(Base):
    """A PBX as the gateway reaches it. `port` empty: SRV records of the host name say.

    Every write raises `version`; one that began from another version fails. Ids are never used again.
    """

    __tablename__ = "icp"
    __table_args__ = (
        CheckConstraint("port BETWEEN 1 AND 65535", name="port"),
        CheckConstraint("transport IN ('UDP', 'TCP')", name="transport"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    type: Mapped[str] = mapped_column(String(32))
    host: Mapped[str] = mapped_column(String(255))
    port: Mapped[int | None]
    transport: Mapped[str] = mapped_column(String(8))
    version: Mapped[int] = mapped_column(server_default="1")
    nodes: Mapped[list["IcpNode"]] = relationship(
        order_by="IcpNode.position", cascade="all, delete-orphan", passive_deletes=True, lazy="selectin"
    )

    __mapper_args__ = {"version_id_col": version}


class IcpNode(Base):
    """A further node of the same PBX; those with a lower `position` are wanted more. `port` as with the ICP."""

    __tablename__ = "icp_node"
    __table_args__ = (
        CheckConstraint("port BETWEEN 1 AND 65535", name="port"),
        CheckConstraint("transport IN ('UDP', 'TCP')", name="transport"),
    )

    icp_id: Mapped[int] = mapped_column(ForeignKey("icp.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    port: Mapped[int | None]
    transport: Mapped[str] = mapped_column(String(8))


class Device(Base):
    """A SIP device of the set side. `set_ha1` is sealed JSON, HA1 by algorithm; `icp_password` is sealed text.

    `icp_username` empty: the same as on the set side. `revision` changes with every write of credentials, `version` as
    with the ICP.
    """

    __tablename__ = "device"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    description: Mapped[str] = mapped_column(String(255), default="")
    icp_id: Mapped[int] = mapped_column(ForeignKey("icp.id", ondelete="RESTRICT"), index=True)
    set_username: Mapped[str] = mapped_column(String(128), unique=True)
    set_ha1: Mapped[bytes] = mapped_column(LargeBinary)
    icp_username: Mapped[str] = mapped_column(String(128), default="", index=True)
    icp_password: Mapped[bytes] = mapped_column(LargeBinary)
    revision: Mapped[int] = mapped_column(default=1)
    version: Mapped[int] = mapped_column(server_default="1")

    __mapper_args__ = {"version_id_col": version}


class Binding(Base):
    """A contact of a device, so that it survives a restart. Times in seconds since 1970."""

    __tablename__ = "binding"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"), primary_key=True)
    contact: Mapped[str] = mapped_column(String(512), primary_key=True)
    instance: Mapped[str] = mapped_column(String(255), default="")
    transport: Mapped[str] = mapped_column(String(8))
    remote_host: Mapped[str] = mapped_column(String(64))
    remote_port: Mapped[int]
    call_id: Mapped[str] = mapped_column(String(255))
    cseq: Mapped[int]
    user_agent: Mapped[str] = mapped_column(String(255), default="")
    registered_at: Mapped[float]
    expires_at: Mapped[float]


class IcpBinding(Base):
    """The gateway's registration of a device at its ICP."""

    __tablename__ = "icp_binding"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"), primary_key=True)
    call_id: Mapped[str] = mapped_column(String(255))
    cseq: Mapped[int]
    expires_at: Mapped[float]


class TimelineEntry(Base):
    """Something that happened. `device_id` empty: to the gateway as a whole. `at` in seconds since 1970."""

    __tablename__ = "timeline_entry"
    __table_args__ = (Index("ix_timeline_device_at", "device_id", "at"),)

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    device_id: Mapped[int | None] = mapped_column(ForeignKey("device.id", ondelete="CASCADE"))
    at: Mapped[float]
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(String(512))
