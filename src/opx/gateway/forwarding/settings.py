"""`[forwarding]` of the gateway's settings file. Times in seconds, sizes in bytes."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from opx.settings_fields import Table


class ForwardingSettings(Table):
    """How port forwarding is carried out; the rules themselves are in the database."""

    driver: Literal["auto", "userspace", "nftables"] = "auto"
    """auto: nftables where this process has the right to it and the addresses are not loopback; else userspace."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes of the userspace driver. All of one source goes to one of them."""
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """TCP connections and UDP flows at the same time, of all rules; of the userspace driver. In the kernel it is
    net.netfilter.nf_conntrack_max, which all of the machine's connections share."""
    connections_per_source: Annotated[int, Field(ge=1)] = 500
    """Of one outside address; a whole branch office may share one behind its NAT."""
    idle_limit: Annotated[float, Field(ge=1)] = 7200.0
    """A TCP connection on which nothing moves for so long ends. Phone Manager's may be quiet for an hour."""
    half_close_limit: Annotated[float, Field(ge=1)] = 300.0
    """The same once one end has said that it sends no more."""
    connect_limit: Annotated[float, Field(ge=1)] = 10.0
    """How long a destination host may take to accept; of the userspace driver."""
    udp_idle_limit: Annotated[float, Field(ge=1)] = 120.0
    """A UDP flow on which nothing moves for so long ends."""
    buffer: Annotated[int, Field(ge=4096, le=16 * 1024 * 1024)] = 256 * 1024
    """What one direction of a connection holds at most; of the userspace driver."""
    pipes: Annotated[int, Field(ge=0, le=65536)] = 256
    """Directions with bulk on its way that the kernel carries at the same time; further ones are copied. Linux gives a
    user without rights 64 MB of pipes in full size (fs.pipe-user-pages-soft)."""
    outlive: Annotated[float, Field(ge=0)] = 300.0
    """How long the userspace driver goes on by itself when the gateway's process was killed."""
    check_interval: Annotated[float, Field(ge=1)] = 30.0
    """How often what is in force is compared with what is wanted."""

    @field_validator("half_close_limit")
    @classmethod
    def _not_longer(cls, value: float, info: ValidationInfo) -> float:
        most = info.data.get("idle_limit")
        if most is not None and value > most:
            raise ValueError(f"{value:g} is above idle_limit; expected at most {most:g}")
        return value

    @field_validator("connections_per_source")
    @classmethod
    def _not_more(cls, value: int, info: ValidationInfo) -> int:
        most = info.data.get("connections")
        if most is not None and value > most:
            raise ValueError(f"{value} is above connections; expected at most {most}")
        return value
