"""The table of port forwarding rules."""

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from opx.gateway.models import Base


class ForwardRow(Base):
    """A rule. `ports` and `sources` are the texts that `rules` reads; `host_port` empty: the same port.

    `version` rises with every change.
    """

    __tablename__ = "forward"
    __table_args__ = (
        CheckConstraint("protocol IN ('TCP', 'UDP')", name="protocol"),
        CheckConstraint("host_port BETWEEN 1 AND 65535", name="host_port"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]
    enabled: Mapped[bool]
    protocol: Mapped[str] = mapped_column(String(3))
    ports: Mapped[str] = mapped_column(String(1024))
    host: Mapped[str] = mapped_column(String(15))
    host_port: Mapped[int | None]
    snat: Mapped[bool]
    sources: Mapped[str] = mapped_column(String(2048))
    description: Mapped[str] = mapped_column(String(255))
    forced: Mapped[bool]
