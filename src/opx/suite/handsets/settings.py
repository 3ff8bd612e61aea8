"""The settings of the handset configuration server. Times in seconds."""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from opx.settings_fields import Port, Seconds, Table
from opx.suite.handsets.provision import Provision

Count = Annotated[int, Field(ge=1)]


def _network(value: str) -> str:
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no IPv4 network: {error}; expected one such as 192.168.0.0/16") from None


Network = Annotated[str, AfterValidator(_network)]


class HandsetLimits(Table):
    """Bounds on what phones and strangers can ask for."""

    connections: Count = 2000
    """Open at the same time, up to 300 kB each. Further ones wait until one ends; more of them would not be faster."""
    connections_per_host: Count = 200
    """Of one host in the LAN; a phone opens a handful. The gateway bounds those outside, by their true source."""
    header_bytes: Annotated[int, Field(ge=1024, le=65536)] = 8192
    request_seconds: Annotated[float, Field(gt=0)] = 15.0
    """For a request's head to come, from the connection's start or the answer before."""
    requests_per_connection: Count = 1000
    new_phones: Count = 2000
    """Phones listed that nobody has approved; further unknown MACs are not written down."""
    new_phone_days: Annotated[int, Field(ge=1)] = 30
    """Days without a word after which a phone that nobody has approved is forgotten."""
    new_phones_per_source: Count = 50
    """Unknown MACs of one source within `refusal_window` that are listed."""
    refusals_per_source: Count = 20
    """Wrong digests and codes, and approved phones named without their digest, by one source within `refusal_window`.
    Beyond, it gets nothing but what phones with their own digest get."""
    code_tries_per_phone: Count = 5
    """Wrong one-time codes typed at one phone within `refusal_window`."""
    refusal_window: Annotated[float, Field(gt=0)] = 900.0
    alarm_refusals: Count = 3
    """Requests within `refusal_window` that name an approved phone without its digest, until there is alarm."""
    alarm_unknown: Count = 20
    """Unknown MACs of one source within `refusal_window`, until there is alarm."""
    alarm_seconds: Annotated[float, Field(gt=0)] = 86_400.0
    """How long such an alarm stands after the last time."""


class Handsets(Table):
    """What phones fetch their configuration from."""

    https_port: Port = 8202
    http: bool = True
    """Whether it is served without TLS, too; to phones of the LAN only."""
    http_port: Port = 8203
    http_secrets: bool = False
    """Whether approved phones of the LAN get their passwords without TLS, for handsets that cannot do HTTPS."""
    lan: tuple[Network, ...] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8")
    """Where phones of the LAN ask from, beside the suite's own /16; the gateway's inside address is not one of them."""
    client_authority: bool = False
    """Whether a handset's certificate is asked for, of the authority in the certificates' folder, handsets-ca.pem."""
    digest_algorithms: tuple[Literal["MD5", "SHA-256"], ...] = ("MD5",)
    """What is offered, in this order. Handsets speak RFC 2617, which knows MD5 only."""
    nonce_seconds: Annotated[float, Field(ge=10)] = 300.0
    delivery_window: Annotated[float, Field(ge=30)] = 900.0
    """After an approval: how long the phone has to fetch the file that brings its own digest."""
    window_without_origin: bool = True
    """Whether that goes for teleworkers, too, whose true source the gateway does not tell."""
    pages_by_source: bool = False
    """Whether pages and action URIs are served without the digest to a phone that used it from the same source within
    `pages_by_source_seconds`, for handsets that send it for files only."""
    pages_by_source_seconds: Seconds = 90_000.0
    code_seconds: Annotated[float, Field(ge=60)] = 86_400.0
    """How long a one-time code lasts."""
    code_tries: Count = 10
    """Wrong codes for one extension, after which its code is void."""
    seen_every: Annotated[float, Field(gt=0)] = 5.0
    """Between two writes of what was seen of phones."""
    origin_seconds: Annotated[float, Field(gt=0)] = 2.0
    """How long the gateway has to tell a connection's true source."""
    provision: Provision = Provision()
    limits: HandsetLimits = HandsetLimits()
