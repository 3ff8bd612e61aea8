"""The console's people, and what it has counted, in the gateway's database."""

from sqlalchemy.orm import Mapped, mapped_column

from opx.gateway.models import Base
from opx.web.tables import ConsoleTables

CONSOLE = ConsoleTables(Base.metadata)


class TrafficSample(Base):
    """The most calls and devices in service within the period that began `at`, in seconds since 1970."""

    __tablename__ = "traffic_sample"

    at: Mapped[float] = mapped_column(primary_key=True)
    calls: Mapped[int]
    registered: Mapped[int]
