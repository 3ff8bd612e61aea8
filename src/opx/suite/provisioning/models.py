"""The tables of provisioning. No row holds a secret."""

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from opx.suite.models import Base


class Provision(Base):
    """What is known of an extension at the gateway; see `records.Provisioned`.

    A row outlives its extension until the gateway has none of its devices any more, so `extension_id` is no foreign
    key; ids of extensions are never used again.
    """

    __tablename__ = "provision"

    extension_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), index=True)
    error: Mapped[str] = mapped_column(String(512), default="")
    tries: Mapped[int] = mapped_column(default=0)
    next_try: Mapped[float | None]
    changed_at: Mapped[float]
    gateway: Mapped[str] = mapped_column(String(64), default="")
    device_id: Mapped[int | None]
    owned: Mapped[bool] = mapped_column(default=False)
    creating: Mapped[bool] = mapped_column(default=False)
    set_username: Mapped[str] = mapped_column(String(128), default="")
    digest: Mapped[str] = mapped_column(String(64), default="")
    device_revision: Mapped[int] = mapped_column(default=0)
    device_version: Mapped[int] = mapped_column(default=0)


class ProvisioningRun(Base):
    """The one row about the work as a whole; see `records.Run`."""

    __tablename__ = "provisioning_run"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(String(32), default="")
    trouble: Mapped[str] = mapped_column(String(512), default="")
    since: Mapped[float | None]
    next_try: Mapped[float | None]
    looked_at: Mapped[float | None]
    token_note: Mapped[str] = mapped_column(String(512), default="")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
