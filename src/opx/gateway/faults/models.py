"""The tables of this room. A record outlives its device: names stand in it, and no foreign key. Times since 1970."""

from sqlalchemy import Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from opx.gateway.models import Base


class CallRow(Base):
    """One call. `rang_at` and `answered_at` are 0 when it never did; `media` is JSON, "" when nothing was carried."""

    __tablename__ = "call_record"
    __table_args__ = (Index("ix_call_record_device_started", "device_id", "started_at"),)

    call_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    device_id: Mapped[int]
    device: Mapped[str] = mapped_column(String(128))
    icp: Mapped[str] = mapped_column(String(64))
    direction: Mapped[str] = mapped_column(String(8))
    caller: Mapped[str] = mapped_column(String(128))
    callee: Mapped[str] = mapped_column(String(128))
    started_at: Mapped[float] = mapped_column(index=True)
    rang_at: Mapped[float]
    answered_at: Mapped[float]
    ended_at: Mapped[float]
    outcome: Mapped[str] = mapped_column(String(16))
    ended_by: Mapped[str] = mapped_column(String(16))
    status: Mapped[int]
    reason: Mapped[str] = mapped_column(String(255))
    phone: Mapped[str] = mapped_column(String(80))
    user_agent: Mapped[str] = mapped_column(String(255))
    node: Mapped[str] = mapped_column(String(80))
    codec: Mapped[str] = mapped_column(String(64))
    media: Mapped[str] = mapped_column(Text)


class LadderRow(Base):
    """The messages of a call, masked and compressed as `packing` does. `failed` ones are kept for longer."""

    __tablename__ = "call_ladder"

    call_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    failed: Mapped[bool]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class AlarmRow(Base):
    """An alarm that was raised; `cleared_at` 0 while it stands."""

    __tablename__ = "alarm"

    alarm_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(200))
    cause: Mapped[str] = mapped_column(String(500))
    raised_at: Mapped[float] = mapped_column(index=True)
    cleared_at: Mapped[float]
