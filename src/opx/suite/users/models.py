"""The tables of end users."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from opx.suite.models import Base


class SiteUser(Base):
    """An end user. `password_hash` is argon2id's, "" when there is no password."""

    __tablename__ = "site_user"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    folded: Mapped[str] = mapped_column(String(128), unique=True)
    role: Mapped[str] = mapped_column(String(32))
    full_name: Mapped[str] = mapped_column(String(64), default="")
    business_unit: Mapped[str] = mapped_column(String(64), default="")
    client_profile: Mapped[str] = mapped_column(String(64), default="")
    password_hash: Mapped[str] = mapped_column(String(255), default="")
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class SiteUserExtension(Base):
    """An extension of a user's; an extension belongs to one user at a time. `position` 0 is the primary one."""

    __tablename__ = "site_user_extension"

    extension_id: Mapped[int] = mapped_column(
        ForeignKey("sip_extension.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    user_id: Mapped[int] = mapped_column(ForeignKey("site_user.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
