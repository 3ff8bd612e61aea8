"""A handset's lines as its configuration has them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from opx.phone.account import Account
from opx.phone.handset.models import Model
from opx.phone.handset.values import Values
from opx.sip.registration import RegistrationPolicy

DEFAULT_PERIOD = 3600
"""Seconds that are asked for where the registration period is 0."""
UNSET = ("", "0.0.0.0")
TRANSPORTS = {0: "UDP", 1: "UDP", 2: "TCP"}
"""By `sip transport protocol`; 0 allows both and begins with UDP."""
RETRY_LIMITS = (30, 1800)
"""Seconds between which both retry timers lie."""


class LineUnusable(ValueError):
    """What is configured for a line cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """One line. `registrar` is None for one that only calls through its proxy. Times in seconds."""

    number: int
    proxy: Account
    registrar: Account | None
    screen_name: str
    period: int
    refused_retry: int
    timeout_retry: int
    watch_messages: bool = field(default=False)

    @property
    def policy(self) -> RegistrationPolicy:
        """A handset renews when half of the time has passed."""
        retry = float(self.timeout_retry)
        return RegistrationPolicy(self.period, 0.5, retry, retry, float(self.refused_retry))


def line_settings(values: Values, model: Model) -> list[LineSettings]:
    """Those of all lines that have a user. LineUnusable for one that cannot be used here."""
    return [line for number in range(1, model.lines + 1) if (line := _line(values, number)) is not None]


def _line(values: Values, number: int) -> LineSettings | None:
    def get(name: str) -> str:
        own = f"sip line{number} {name}"
        return (values.get(own) or values.get(f"sip {name}")).strip()

    def port(name: str) -> int:
        text = get(name)
        return int(text) if text.isdecimal() and 0 < int(text) < 65536 else 5060

    user = values.get(f"sip line{number} user name").strip() or (get("user name") if number == 1 else "")
    if not user:
        return None
    kind = values.number("sip transport protocol", 1)
    transport = TRANSPORTS.get(kind)
    if transport is None:
        raise LineUnusable(f"line {number}: SIP over TLS (sip transport protocol: {kind}) is not emulated")
    if get("srtp mode") == "2":
        raise LineUnusable(f"line {number}: SRTP only (sip srtp mode: 2) is not emulated")
    outbound = (get("outbound proxy"), port("outbound proxy port"))

    def account(host: str, at: int) -> Account:
        through = outbound if outbound[0] not in UNSET else None
        return Account(user, get("password"), host, at, transport, get("auth name") or user, through)

    proxy_host, registrar_host = get("proxy ip"), get("registrar ip")
    if proxy_host in UNSET:
        proxy_host = registrar_host
    if proxy_host in UNSET:
        return None
    registrar = account(registrar_host, port("registrar port")) if registrar_host not in UNSET else None
    return LineSettings(
        number,
        account(proxy_host, port("proxy port")),
        registrar,
        get("screen name") or get("display name") or user,
        values.number(f"sip line{number} registration period", 0)
        or values.number("sip registration period", 0)
        or DEFAULT_PERIOD,
        _within(values.number("sip registration retry timer", RETRY_LIMITS[1])),
        _within(values.number("sip registration timeout retry timer", 120)),
        get("explicit mwi subscription") == "1",
    )


def _within(seconds: int) -> int:
    return min(max(seconds, RETRY_LIMITS[0]), RETRY_LIMITS[1])


async def looked_up(lines: Sequence[LineSettings]) -> list[LineSettings]:
    """The lines with an address for every host name; those whose names nobody knows are left out."""
    found = []
    for line in lines:
        try:
            registrar = await _with_address(line.registrar) if line.registrar is not None else None
            found.append(replace(line, proxy=await _with_address(line.proxy), registrar=registrar))
        except OSError:
            continue
    return found


async def _with_address(account: Account) -> Account:
    """The same account, its URIs as they were, by way of the address that its host has. OSError."""
    host, port = account.destination.host, account.destination.port
    try:
        ipaddress.ip_address(host)
    except ValueError:
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        return replace(account, outbound=(str(infos[0][4][0]), port))
    return account
