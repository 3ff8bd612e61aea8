"""The table of what phones have said."""

from sqlalchemy import Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from opx.store.engine import BIG_ID
from opx.suite.models import Base


class PhoneLogLine(Base):
    """A line of a phone; `mac` "" of one that is not known. `at` is when it came, in seconds since 1970."""

    __tablename__ = "phone_log_line"
    __table_args__ = (Index("ix_phone_log_mac_at", "mac", "at"),)

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    mac: Mapped[str] = mapped_column(String(12))
    source: Mapped[str] = mapped_column(String(64))
    at: Mapped[float]
    severity: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str] = mapped_column(String(512))
