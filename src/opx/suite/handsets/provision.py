"""The settings of what phones are told. Profiles may override all of it but log in, trust and transport."""

from typing import Annotated, Literal

from pydantic import Field

from opx.settings_fields import Dscp, HostName, IPv4, Table

LogModule = Literal[
    "linemgr", "user interface", "misc", "sip", "dis", "dstore", "ept", "ind", "kbd", "net", "provis", "rtpt", "snd",
    "prof", "xml", "stun",
]  # fmt: skip


class Provision(Table):
    """Defaults for all phones."""

    log_in: Literal["digest", "xml", "off"] = "digest"
    """How a new phone's Log In key asks for extension and code: by the handset itself, by a page, or not at all."""
    waiting_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """Between two times that a phone which is not approved asks whether it is, to start anew then; 0 never."""
    validate_certificates: bool = True
    """Whether phones are told to trust the suite's authority, and to check its certificate."""
    teleworker_transport: Literal["UDP", "TCP"] = "UDP"
    lan_transport: Literal["UDP", "TCP"] = "UDP"
    second_line: bool = False
    """Whether Line 2 gets the same account as Line 1."""
    registration_period: Annotated[int, Field(ge=60, le=86_400)] = 3600
    """Seconds that a phone asks for; the gateway may make it less."""
    retry_seconds: Annotated[int, Field(ge=30, le=1800)] = 60
    """Until a phone tries a failed registration again. The handset's own 1800 would leave it dead for half an hour."""
    resync_mode: Annotated[int, Field(ge=0, le=3)] = 3
    """0 none, 1 configuration, 2 firmware, 3 both."""
    resync_time: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):(00|15|30|45)$")] = "02:00"
    resync_max_delay: Annotated[int, Field(ge=0, le=1439)] = 120
    """Minutes over which phones spread their daily look, so that not all come at once."""
    resync_days: Annotated[int, Field(ge=0, le=364)] = 0
    """Days between two looks; 0 is every day."""
    utc_offset_minutes: Annotated[int, Field(ge=-720, le=840)] = 0
    dst_config: Annotated[int, Field(ge=0, le=3)] = 0
    """0 no summer time, 1 and 2 that of the US and of Europe by fixed dates, 3 that of the time zone."""
    time_server: IPv4 | None = None
    """For phones of the LAN; the handset's own where none is named."""
    teleworker_time_server: HostName | None = None
    """For phones outside, which do not reach the LAN's; the handset's own where none is named."""
    language: Annotated[str, Field(pattern=r"^([a-z]{2}(_[a-z]{2})?)?$")] = ""
    """Of the handset's language pack, such as de; "" is English, which needs none."""
    tone_set: Annotated[str, Field(pattern=r"^[A-Za-z ]{0,32}$")] = ""
    web_interface: bool = False
    """Whether the handset's own web pages are on; they show and change what is locked here."""
    tos_sip: Dscp = 24
    tos_rtp: Dscp = 46
    syslog: bool = True
    """Whether phones of the LAN log to the suite."""
    log_level: Annotated[int, Field(ge=0, le=65_535)] = 1
    """A sum of bits: 1 fatal, 2 error, 4 warning and more."""
    log_modules: tuple[LogModule, ...] = ("linemgr", "sip", "net", "provis")
