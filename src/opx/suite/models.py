"""What all of the suite's tables have in common, and those that belong to no room. Secrets are sealed."""

from sqlalchemy import Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from opx.store.engine import BIG_ID
from opx.store.names import CONSTRAINT_NAMES


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)


class Setting(Base):
    """What is fixed at the first start."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(1024))


class TimelineEntry(Base):
    """Something that happened to a `subject`; see `timeline`. `at` in seconds since 1970."""

    __tablename__ = "timeline_entry"
    __table_args__ = (Index("ix_timeline_subject_at", "subject", "at"),)

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    subject: Mapped[str] = mapped_column(String(64))
    at: Mapped[float]
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(String(512))


class AlarmRow(Base):
    """An alarm that was raised; see `alarms`. Times in seconds since 1970; `cleared_at` 0 while it stands."""

    __tablename__ = "alarm"

    alarm_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(200))
    cause: Mapped[str] = mapped_column(String(500))
    raised_at: Mapped[float] = mapped_column(index=True)
    cleared_at: Mapped[float]
