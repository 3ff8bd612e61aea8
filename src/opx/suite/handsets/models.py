"""The tables of phones. Columns that end in `_sealed` hold secrets, opened with the key file only."""

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from opx.suite.models import Base


class Phone(Base):
    """A handset that has asked for its configuration, or was entered by hand. Times in seconds since 1970.

    `source` is where it was last seen, the true one as far as that is known, `bound_source` where its digest was first
    used. `window_until`: until then, from `window_source`, the first file with secrets is delivered without the digest
    that it brings. `configuration_profile_id` and `keymap_profile_id` are those of the profiles' own tables.
    """

    __tablename__ = "phone"

    mac: Mapped[str] = mapped_column(String(12), primary_key=True)
    model: Mapped[str] = mapped_column(String(16), default="")
    firmware: Mapped[str] = mapped_column(String(32), default="")
    user_agent: Mapped[str] = mapped_column(String(128), default="")
    state: Mapped[str] = mapped_column(String(16), default="new", index=True)
    side: Mapped[str] = mapped_column(String(16), default="")
    extension_id: Mapped[int | None] = mapped_column(ForeignKey("sip_extension.id", ondelete="SET NULL"), unique=True)
    hot_desk_id: Mapped[int | None] = mapped_column(ForeignKey("sip_extension.id", ondelete="SET NULL"), unique=True)
    digest_user: Mapped[str] = mapped_column(String(40), default="")
    digest_password_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    admin_password_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    user_password_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    bound_at: Mapped[float | None]
    bound_source: Mapped[str] = mapped_column(String(64), default="")
    window_until: Mapped[float | None]
    window_source: Mapped[str] = mapped_column(String(64), default="")
    source: Mapped[str] = mapped_column(String(64), default="")
    first_seen: Mapped[float | None]
    last_seen: Mapped[float | None]
    delivered: Mapped[str] = mapped_column(String(32), default="")
    delivered_at: Mapped[float | None]
    configuration_profile_id: Mapped[int | None]
    keymap_profile_id: Mapped[int | None]
    certificate_subject: Mapped[str] = mapped_column(String(255), default="")
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}


class OneTimeCode(Base):
    """What the user of an extension types at a phone's Log In key. `verifier_sealed` holds hashes, not the code.

    A redeemed one stays until it expires, for the phone that redeemed it alone: its answer may have been lost.
    """

    __tablename__ = "one_time_code"

    extension_id: Mapped[int] = mapped_column(ForeignKey("sip_extension.id", ondelete="CASCADE"), primary_key=True)
    verifier_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[float]
    expires_at: Mapped[float]
    tries: Mapped[int] = mapped_column(default=0)
    redeemed_by: Mapped[str] = mapped_column(String(12), default="")
