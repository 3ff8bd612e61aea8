"""The tables of profiles. Nothing in them is secret."""

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from opx.suite.models import Base


class Profile(Base):
    """A keymap or configuration profile. `hot_desking` None leaves it to the weaker levels."""

    __tablename__ = "profile"
    __table_args__ = (UniqueConstraint("kind", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(String(255), default="")
    compress: Mapped[bool] = mapped_column(default=True)
    hot_desking: Mapped[bool | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class ProfileKey(Base):
    """A key of a keymap profile; `states` are words with blanks between them."""

    __tablename__ = "profile_key"

    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id", ondelete="CASCADE"), primary_key=True)
    location: Mapped[str] = mapped_column(String(8), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(String(16))
    value: Mapped[str] = mapped_column(String(255), default="")
    label: Mapped[str] = mapped_column(String(32), default="")
    line: Mapped[int] = mapped_column(default=0)
    states: Mapped[str] = mapped_column(String(64), default="")
    free: Mapped[bool] = mapped_column(default=False)


class ProfileParameter(Base):
    """A parameter of a configuration profile; names in lower case."""

    __tablename__ = "profile_parameter"

    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(512), default="")


class ProfileUse(Base):
    """Whom a profile is for beside single handsets: `scope` default, model, or extension (a hot desk one)."""

    __tablename__ = "profile_use"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    scope: Mapped[str] = mapped_column(String(16), primary_key=True)
    target: Mapped[str] = mapped_column(String(16), primary_key=True)
    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id", ondelete="CASCADE"), index=True)
