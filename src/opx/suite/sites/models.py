"""The tables of the site settings. Columns that end in `_sealed` hold secrets, opened with the key file only."""

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from opx.suite.models import Base


class Gateway(Base):
    """The one row about the gateway. `token_*` are final, `pending_*` temporary, empty when there are none.

    `fingerprint` is the certificate's that is trusted, `offered_fingerprint` another one that was met instead.
    """

    __tablename__ = "gateway"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(64), default="")
    port: Mapped[int] = mapped_column(default=8443)
    rest_api: Mapped[bool] = mapped_column(default=False)
    consumer_name: Mapped[str] = mapped_column(String(64), default="")
    consumer_id: Mapped[str] = mapped_column(String(64), default="")
    consumer_secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    pending_token: Mapped[str] = mapped_column(String(255), default="")
    pending_secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    pending_until: Mapped[float | None]
    token: Mapped[str] = mapped_column(String(255), default="")
    token_secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    token_until: Mapped[float | None]
    fingerprint: Mapped[str] = mapped_column(String(64), default="")
    offered_fingerprint: Mapped[str] = mapped_column(String(64), default="")
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class Pbx(Base):
    """A telephone system. `connector` says how its extensions are read, `url` where; "" of both: typed by hand."""

    __tablename__ = "pbx"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    connector: Mapped[str] = mapped_column(String(16), default="")
    url: Mapped[str] = mapped_column(String(255), default="")
    fingerprint: Mapped[str] = mapped_column(String(64), default="")
    token_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    ct_gateway: Mapped[str] = mapped_column(String(32), default="")
    read_at: Mapped[float | None]
    read_error: Mapped[str] = mapped_column(String(512), default="")
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class Node(Base):
    """A node of a PBX, with the addresses that phones inside and outside register at."""

    __tablename__ = "node"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    pbx_id: Mapped[int] = mapped_column(ForeignKey("pbx.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(255), unique=True)
    sip_port: Mapped[int] = mapped_column(default=5060)
    nat_address: Mapped[str] = mapped_column(String(255), default="")
    nat_sip_port: Mapped[int] = mapped_column(default=5060)
    software: Mapped[str] = mapped_column(String(32), default="")
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class SipExtension(Base):
    """A SIP extension. `internal_*` is what the PBX asks for, `remote_*` what the gateway asks a teleworker's phone.

    `present`: the PBX has it still. `revision` changes with the credentials.
    """

    __tablename__ = "sip_extension"
    __table_args__ = (UniqueConstraint("pbx_id", "number"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    pbx_id: Mapped[int] = mapped_column(ForeignKey("pbx.id", ondelete="CASCADE"))
    node_id: Mapped[int | None] = mapped_column(ForeignKey("node.id", ondelete="SET NULL"), index=True)
    number: Mapped[str] = mapped_column(String(16), index=True)
    name: Mapped[str] = mapped_column(String(64), default="")
    hot_desk: Mapped[bool] = mapped_column(default=False)
    present: Mapped[bool] = mapped_column(default=True)
    internal_name: Mapped[str] = mapped_column(String(128), default="")
    internal_password_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    remote: Mapped[bool] = mapped_column(default=False)
    remote_name: Mapped[str | None] = mapped_column(String(128), unique=True)
    remote_password_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    revision: Mapped[int] = mapped_column(default=1)
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class ClientLocation(Base):
    """How clients reach the suite from a `place`, "local" or "remote"."""

    __tablename__ = "client_location"

    place: Mapped[str] = mapped_column(String(8), primary_key=True)
    host: Mapped[str] = mapped_column(String(255), default="")
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}
