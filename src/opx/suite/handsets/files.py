"""What stands in a handset's files: typed parameters, by whom they are for. Sans I/O, and no text templates.

`system` (startup.cfg, aastra.cfg) and `of_model` (<model>.cfg) hold nothing that not everybody may know. `stranger` is
the <MAC>.cfg of every phone that has not shown that it may have more, whatever the reason, and the same for all.
`own` is that of an approved phone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from opx.suite.handsets.catalogue import Model
from opx.suite.handsets.keys import Key, compressed, merge_keys, parameters_of
from opx.suite.handsets.lines import account
from opx.suite.handsets.parameters import Hold, Parameter, locked, merge
from opx.suite.handsets.profiles import Profiles
from opx.suite.handsets.provision import Provision
from opx.suite.handsets.records import FACTORY_CREDENTIALS, PhoneRecord, Side
from opx.suite.sites.records import ExtensionRecord, NodeRecord

LOG_IN_PAGE = "login"
SETUP_PAGE = "setup"
WAITING_PAGE = "waiting"
AUTHORITY_FILE = "ca.pem"
"""Paths below the server's root."""

SYSLOG_PORT = 514
_INSIDE_ONLY = ("ldap", "tftp", "log ", "multicast", "paging", "syslog", "xml application post list")
"""Beginnings of parameters that a teleworker's phone is not given: none of it goes through the gateway (stage 2)."""
_LAST_TOP_KEY = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a phone is, and by which name it reaches the suite: `host` "" where that Client Location is not set.

    `authority`: our own one has issued the server's certificate, and phones may fetch it.
    """

    side: Side
    host: str
    port: int
    path: str = ""
    authority: bool = True

    @property
    def base(self) -> str:
        """What all addresses for this phone begin with, "" when there is none."""
        return f"https://{self.host}:{self.port}/" if self.host else ""


@dataclass(frozen=True, slots=True)
class Assigned:
    """The extension that a phone is to be, and the node that it is at."""

    extension: ExtensionRecord
    node: NodeRecord | None


def system(place: Place, provision: Provision, suite: str) -> list[Parameter]:
    """Of all phones of a side. `suite` is the suite's own address in the LAN."""
    return _for_side(
        place.side,
        merge(
            _server(place),
            _upkeep(provision),
            _signalling(place, provision),
            _lan(provision, suite) if place.side is Side.LOCAL else _time_server(provision.teleworker_time_server),
        ),
    )


def of_model(model: Model, place: Place) -> list[Parameter]:
    """Of all phones of a model."""
    found = [Parameter("contact rcs", False)]
    if model.dual_image:
        found.append(Parameter("inactive minet present", True))
        if place.base:
            found.append(Parameter("upgrade uri", place.base.rstrip("/")))
    return found


def stranger(model: Model, place: Place, provision: Provision) -> list[Parameter]:
    """No account, no password: two line keys, and how to become known. A phone that had more loses it by this file."""
    keys = _line_keys()
    if provision.log_in == "xml" and place.base:
        keys.append(Key("top", _LAST_TOP_KEY, "xml", place.base + LOG_IN_PAGE, "Log In"))
    elif place.side is Side.LOCAL and place.base:
        keys.append(_setup_key(place))
    log_in = provision.log_in == "digest"
    found = [
        Parameter("http digest force login", log_in, Hold.LOCKED),
        Parameter("http digest username", FACTORY_CREDENTIALS.name, Hold.RESET),
        Parameter("http digest password", FACTORY_CREDENTIALS.password, Hold.RESET),
        *account(1, None, None, place.side, Hold.LOCKED),
        *_waiting(place, provision),
        *parameters_of(keys, model),
    ]
    return _for_side(place.side, found)


def own(
    phone: PhoneRecord, assigned: Assigned | None, model: Model, place: Place, provision: Provision, profiles: Profiles
) -> list[Parameter]:
    """Everything that an approved phone is given. ParameterError from `render` when a value cannot be written."""
    extension = assigned.extension if assigned else None
    node = assigned.node if assigned else None
    levels = [locked(level) for level in profiles.parameters]
    keys = merge_keys(_default_keys(place, extension), *profiles.keys)
    if profiles.compress:
        keys = compressed(keys)
    account_lines = account(1, extension, node, place.side, Hold.LOCKED)
    if provision.second_line and extension is not None:
        account_lines += account(2, extension, node, place.side, Hold.LOCKED)
    # What the suite must be sure of comes last.
    sure = merge(
        locked(_server(place)),
        locked(_trust(place, provision)),
        [_transport(place, provision)],
        _identity(phone),
        account_lines,
    )
    return _for_side(place.side, merge(*levels, sure, parameters_of(keys, model)))


def _waiting(place: Place, provision: Provision) -> list[Parameter]:
    """The approved phone's file has none of it, which ends the asking."""
    if not (place.base and provision.waiting_seconds):
        return []
    return [
        Parameter("action uri poll", place.base + WAITING_PAGE),
        Parameter("action uri poll interval", provision.waiting_seconds),
    ]


def _server(place: Place) -> list[Parameter]:
    """The configuration server, as a person would type it at the handset (guide stage 6)."""
    if not place.host:
        return []
    return [
        Parameter("download protocol", "HTTPS"),
        Parameter("https server", place.host),
        Parameter("https path", place.path),
        Parameter("https port", place.port),
        Parameter("firmware server", place.base.rstrip("/")),
    ]


def _upkeep(provision: Provision) -> list[Parameter]:
    found = [
        Parameter("auto resync mode", provision.resync_mode),
        Parameter("auto resync time", provision.resync_time),
        Parameter("auto resync max delay", provision.resync_max_delay),
        Parameter("auto resync days", provision.resync_days),
        Parameter("time zone name", "Custom"),
        Parameter("time zone minutes", -provision.utc_offset_minutes),
        Parameter("dst config", provision.dst_config),
        Parameter("web interface enabled", provision.web_interface),
    ]
    if provision.language:
        found += [Parameter("language", 1), Parameter("language 1", f"lang_{provision.language}.txt")]
    if provision.tone_set:
        found.append(Parameter("tone set", provision.tone_set))
    return found


def _trust(place: Place, provision: Provision) -> list[Parameter]:
    """Whether the server's certificate must be trusted, and our authority's file. Of approved phones alone: one that
    was set up by hand does not check certificates yet (guide stage 6), and comes for the authority first."""
    if not place.base:
        return []
    validate = provision.validate_certificates
    found: list[Parameter] = []
    if validate and place.authority:
        found.append(Parameter("https user certificates", place.base + AUTHORITY_FILE))
    checks = ("https validate certificates", "https validate hostname", "https validate expires")
    return found + [Parameter(name, validate) for name in checks]


def _signalling(place: Place, provision: Provision) -> list[Parameter]:
    return [
        _transport(place, provision),
        Parameter("sip registration period", provision.registration_period),
        Parameter("sip registration retry timer", provision.retry_seconds),
        Parameter("sip registration timeout retry timer", provision.retry_seconds),
        Parameter("sip rport", True),
        Parameter("sip xml notify event", True, Hold.LOCKED),
        Parameter("sip whitelist", place.side is Side.TELEWORKER),
        Parameter("sip dtmf method", 0),
        Parameter("sip srtp mode", 0),
        Parameter("sip out-of-band dtmf", True),
        Parameter("sip explicit mwi subscription", True),
        Parameter("tos sip", provision.tos_sip),
        Parameter("tos rtp", provision.tos_rtp),
    ]


def _transport(place: Place, provision: Provision) -> Parameter:
    transport = provision.teleworker_transport if place.side is Side.TELEWORKER else provision.lan_transport
    return Parameter("sip transport protocol", {"UDP": 1, "TCP": 2}[transport], Hold.LOCKED)


def _lan(provision: Provision, suite: str) -> list[Parameter]:
    """What only phones of the LAN reach."""
    found = [Parameter("xml application post list", suite, Hold.LOCKED)]
    if provision.syslog:
        found += [Parameter("log server ip", suite), Parameter("log server port", SYSLOG_PORT)]
        found += [Parameter(f"log module {name}", provision.log_level) for name in provision.log_modules]
    return found + _time_server(provision.time_server)


def _time_server(host: str | None) -> list[Parameter]:
    """The handset's own serves where none is named."""
    return [Parameter("time server disabled", False), Parameter("time server1", host)] if host else []


def _identity(phone: PhoneRecord) -> list[Parameter]:
    """What binds the phone, and closes it to passers-by."""
    found = [Parameter("http digest force login", False, Hold.LOCKED)]
    if phone.digest is not None:
        found += [
            Parameter("http digest username", phone.digest.name, Hold.LOCKED),
            Parameter("http digest password", phone.digest.password, Hold.LOCKED),
        ]
    if phone.admin_password:
        found.append(Parameter("admin password", phone.admin_password, Hold.LOCKED))
    if phone.user_password:
        found.append(Parameter("user password", phone.user_password, Hold.LOCKED))
    return found


def _default_keys(place: Place, extension: ExtensionRecord | None) -> Sequence[Key]:
    keys = _line_keys()
    if extension is None and place.side is Side.LOCAL and place.base:
        keys.append(_setup_key(place))
    return keys


def _line_keys() -> list[Key]:
    """Guide stage 6: what a phone shows until an extension is assigned."""
    return [Key("top", number, "line", label=f"Line {number}", line=number) for number in (1, 2)]


def _setup_key(place: Place) -> Key:
    """A teleworker's phone has none: its extension is assigned in the suite."""
    return Key("top", _LAST_TOP_KEY, "xml", place.base + SETUP_PAGE, "Setup")


def _for_side(side: Side, parameters: Sequence[Parameter]) -> list[Parameter]:
    if side is Side.LOCAL:
        return list(parameters)
    return [parameter for parameter in parameters if not parameter.key.startswith(_INSIDE_ONLY)]
