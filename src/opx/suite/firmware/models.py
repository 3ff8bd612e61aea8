"""The table of firmware files."""

from sqlalchemy import BigInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from opx.suite.models import Base


class Firmware(Base):
    """A file of the folder; `digest` is its SHA-256 in hex. Of a model at most one is `active`."""

    __tablename__ = "firmware"
    __table_args__ = (UniqueConstraint("model", "version"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(String(16))
    version: Mapped[str] = mapped_column(String(32))
    size: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    added_at: Mapped[float]
    added_by: Mapped[str] = mapped_column(String(64), default="")
    active: Mapped[bool] = mapped_column(default=False)
