"""The settings menu as a person at the handset sees it: Advanced, behind the administrator's password."""

from __future__ import annotations

import hmac

from opx.phone.handset.flash import Flash
from opx.phone.handset.values import Values

CONFIGURATION_SERVER = {
    "Download Protocol": "download protocol",
    "TFTP Server": "tftp server",
    "HTTP Server": "http server",
    "HTTP Path": "http path",
    "HTTP Port": "http port",
    "HTTPS Server": "https server",
    "HTTPS Path": "https path",
    "HTTPS Port": "https port",
    "Cert Validation": "https validate certificates",
}
"""What can be typed in Settings > Advanced > Configuration Server, and the parameter that it sets."""
_YES_NO = {"true": "1", "false": "0", "1": "1", "0": "0"}


class MenuRefused(ValueError):
    """The handset does not let this in; the text says why, as its screen would."""


def advanced(flash: Flash, values: Values, password: str) -> None:
    """Into the Advanced menu. MenuRefused."""
    if not flash.firmware.sip:
        raise MenuRefused(
            f"MiNET firmware {flash.firmware.version} has no Configuration Server menu; "
            "upgrade to SIP firmware on the LAN first"
        )
    if not hmac.compare_digest(values["admin password"].encode(), password.encode()):
        raise MenuRefused("wrong administrator password")


def set_configuration_server(flash: Flash, values: Values, entries: dict[str, str]) -> None:
    """Save the Configuration Server page; `entries` by its labels. They count from the next start on. MenuRefused."""
    changes = {}
    for label, value in entries.items():
        parameter = CONFIGURATION_SERVER.get(label)
        if parameter is None:
            raise MenuRefused(f"there is no {label}; there are {', '.join(CONFIGURATION_SERVER)}")
        changes[parameter] = _checked(label, value.strip())
    for parameter, value in changes.items():
        try:
            values.type_in(parameter, value)
        except ValueError as error:
            raise MenuRefused(str(error)) from None
    flash.local.update(changes)


def _checked(label: str, value: str) -> str:
    if label == "Cert Validation":
        if value.lower() not in _YES_NO:
            raise MenuRefused(f"{label}: expected true or false")
        return _YES_NO[value.lower()]
    if label == "Download Protocol":
        if value.upper() not in ("TFTP", "HTTP", "HTTPS"):
            raise MenuRefused(f"{label}: expected TFTP, HTTP or HTTPS")
        return value.upper()
    if label.endswith("Port") and not (value.isdecimal() and 0 < int(value) < 65536):
        raise MenuRefused(f"{label}: expected a port")
    if not value.isprintable() or " " in value:
        raise MenuRefused(f"{label}: {value!r} is no address")
    return value
