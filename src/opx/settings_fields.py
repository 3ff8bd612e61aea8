"""Kinds of values in a program's settings file, each with what is said of a wrong one."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from opx.config import Settings

_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\Z")


class Table(Settings):
    """One table of the file. Defaults are checked, too: what is written may contradict one that is not."""

    model_config = ConfigDict(allow_inf_nan=False, validate_default=True)


def _ipv4(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{value!r} is no address; expected an IPv4 address of this machine") from None
    if address.version != 4:
        raise ValueError(f"{value!r} is IPv6; expected IPv4, media is carried over IPv4 only so far")
    if address.is_unspecified:
        raise ValueError("a wildcard address; expected one address of this machine, nothing listens everywhere")
    if address.is_multicast or value == "255.255.255.255":
        raise ValueError(f"{value} is not the address of one host; expected an IPv4 address of this machine")
    return value


def _number(value: str) -> str:
    if not value or len(value) > 32 or not all(char in "0123456789*#" for char in value):
        raise ValueError(f"{value!r} is no number; expected digits, * and #")
    return value


def _event(value: str) -> str:
    if not value or len(value) > 64 or not all(char.isascii() and (char.isalnum() or char in "-.") for char in value):
        raise ValueError(f"{value!r} is no event; expected a name such as check-sync")
    return value.lower()


def _name_server(value: str) -> str:
    host, colon, port = value.partition(":")
    if colon and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise ValueError(f"{value!r} is no name server; expected ADDRESS or ADDRESS:PORT")
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError(f"{value!r} is no name server; expected its IPv4 address, or ADDRESS:PORT") from None
    return value


def _host_name(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        if len(value) > 253 or not _HOST.match(value):
            raise ValueError(
                f"{value!r} is no host name or address; expected one such as gateway.example.com"
            ) from None
    return value.lower()


IPv4 = Annotated[str, AfterValidator(_ipv4)]
Port = Annotated[int, Field(ge=1, le=65535)]
Dscp = Annotated[int, Field(ge=0, le=63)]
Seconds = Annotated[float, Field(ge=0)]
Transport = Literal["UDP", "TCP"]
NameServer = Annotated[str, AfterValidator(_name_server)]
HostName = Annotated[str, AfterValidator(_host_name)]
DialledNumber = Annotated[str, AfterValidator(_number)]
EventName = Annotated[str, AfterValidator(_event)]
