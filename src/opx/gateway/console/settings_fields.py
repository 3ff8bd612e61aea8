"""Which settings the console's form offers, how it names them, and how their values are typed and shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from opx.gateway.live_settings import LIVE, Path, value_at
from opx.gateway.settings import GatewaySettings
from opx.web.forms import Form

Kind = Literal["text", "whole", "number", "flag", "choice", "list", "first", "last"]


@dataclass(frozen=True, slots=True)
class SettingField:
    """One input. `kind`: text, a number, a box, one of `options`, words in a list, or one end of a range of ports."""

    path: Path
    label: str
    kind: Kind
    hint: str = ""
    options: Sequence[str] = ()
    unit: str = ""

    @property
    def name(self) -> str:
        """Of the form's field."""
        ending = f"-{self.kind}" if self.kind in ("first", "last") else ""
        return ".".join(self.path) + ending

    @property
    def live(self) -> bool:
        return self.path in LIVE


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    text: str
    fields: tuple[SettingField, ...]


def _face(table: str, address: str, port: str) -> tuple[SettingField, ...]:
    return (
        SettingField((table, "address"), address, "text"),
        SettingField((table, "prefix"), "Network prefix", "whole", "Tells inside from outside.", unit="bits"),
        SettingField((table, "port"), port, "whole"),
        SettingField((table, "transports"), "Transports", "list", "UDP, TCP or both."),
        SettingField((table, "dscp"), "DSCP of signalling", "whole", "0 to 63; 24 is CS3."),
    )


SECTIONS = (
    Section(
        "Outside (set side)",
        "Gateway mode: one address on the internet, where phones register, and one on the office LAN.",
        _face("set_side", "Outside address", "External SIP port"),
    ),
    Section(
        "Inside (ICP side)",
        "In another network than the outside address.",
        _face("icp_side", "Inside address", "SIP port"),
    ),
    Section(
        "Registrations",
        "Phones register often, so that their routers keep the way open; the ICP hears of it seldom.",
        (
            SettingField(("registration", "set_min_expires"), "Shortest expiry", "whole", unit="s"),
            SettingField(("registration", "set_default_expires"), "Usual expiry", "whole", unit="s"),
            SettingField(("registration", "set_max_expires"), "Longest expiry", "whole", unit="s"),
            SettingField(("registration", "icp_expires"), "Expiry at the ICP", "whole", unit="s"),
            SettingField(("keep_alive", "kind"), "Keep-alive", "choice", options=("OPTIONS", "CRLF")),
            SettingField(("keep_alive", "interval"), "Keep-alive every", "number", "0 sends none.", unit="s"),
            SettingField(("keep_alive", "idle_limit"), "Out of service after", "number", "Without a sign.", unit="s"),
        ),
    ),
    Section(
        "Licences and limits",
        "Calls to emergency numbers pass every limit.",
        (
            SettingField(("limits", "licences"), "Teleworker licences", "whole", "Empty: no limit."),
            SettingField(("limits", "calls"), "Calls at the same time", "whole"),
            SettingField(("limits", "calls_per_device"), "Calls of one device", "whole"),
            SettingField(("limits", "emergency_numbers"), "Emergency numbers", "list"),
            SettingField(("permit_weak_passwords",), "Permit weak passwords", "flag", "For set-side passwords."),
        ),
    ),
    Section(
        "Voice",
        "These UDP ports must reach the outside address. Voice takes even ones, RTCP the next.",
        (
            SettingField(("media", "rtp_ports"), "First RTP port", "first"),
            SettingField(("media", "rtp_ports"), "Last RTP port", "last"),
            SettingField(("media", "dscp"), "DSCP of voice", "whole", "0 to 63; 46 is EF."),
            SettingField(("media", "silence_timeout"), "End silent calls after", "number", unit="s"),
            SettingField(("media", "workers"), "Relay processes", "whole"),
            SettingField(("calls", "session_expires"), "Session timer", "whole", "RFC 4028.", unit="s"),
        ),
    ),
    Section(
        "Console",
        "Empty address: the inside one, so that nobody outside reaches it.",
        (
            SettingField(("web", "address"), "Address", "text"),
            SettingField(("web", "port"), "Port", "whole"),
            SettingField(("web", "session_idle"), "Sign out after disuse of", "number", unit="s"),
            SettingField(("web", "session_longest"), "Sign out after", "number", unit="s"),
            SettingField(("certificates", "warn_days"), "Warn before a certificate expires", "whole", unit="days"),
            SettingField(("certificates", "names"), "Further host names", "list", "That certificates are to name."),
        ),
    ),
)
FIELDS = tuple(field for section in SECTIONS for field in section.fields)
LABELS = {field.name: field.label for field in FIELDS}


def shown(settings: GatewaySettings) -> dict[str, str]:
    """The form's values; a box that is not ticked is ""."""
    return {field.name: _shown(field, value_at(settings, field.path)) for field in FIELDS}


def _shown(field: SettingField, value: Any) -> str:
    if field.kind == "first":
        return str(value[0])
    if field.kind == "last":
        return str(value[1])
    return text_of(value)


def text_of(value: Any) -> str:
    """A setting's value for people."""
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, (tuple, list)):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def typed(form: Form) -> dict[Path, Any]:
    """What was typed, by setting; mistakes are noted in the form."""
    found: dict[Path, Any] = {}
    for field in FIELDS:
        value = _typed(form, field)
        if field.kind in ("first", "last"):
            found[field.path] = (*found.get(field.path, ()), value)
        else:
            found[field.path] = value
    return found


def _typed(form: Form, field: SettingField) -> Any:
    text = form.value(field.name)
    match field.kind:
        case "flag":
            return form.flag(field.name)
        case "list":
            return tuple(text.replace(",", " ").split())
        case "whole" | "first" | "last":
            return form.number(field.name)
        case "number":
            try:
                return float(text) if text else None
            except ValueError:
                form.refuse(field.name, f"{text!r} is no number")
                return None
        case _:
            return text or None
