"""The node's tables. Passwords are sealed, PINs hashed."""

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Extension(Base):
    __tablename__ = "extension"

    number: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    type: Mapped[str] = mapped_column(String(16))
    password: Mapped[bytes] = mapped_column(LargeBinary)


class Features(Base):
    """What an extension has switched on; a row appears with the first change."""

    __tablename__ = "features"

    number: Mapped[str] = mapped_column(
        String(16), ForeignKey("extension.number", ondelete="CASCADE"), primary_key=True
    )
    dnd: Mapped[bool]
    forward_all: Mapped[str] = mapped_column(String(16))
    forward_busy: Mapped[str] = mapped_column(String(16))
    forward_no_answer: Mapped[str] = mapped_column(String(16))
    new_messages: Mapped[int]
    old_messages: Mapped[int]
    pickup_group: Mapped[str] = mapped_column(String(16))
    pin: Mapped[str] = mapped_column(String(128))
    phone: Mapped[str] = mapped_column(String(16))
