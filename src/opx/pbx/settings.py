"""The node's settings file. Times in seconds."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from opx.config import Settings
from opx.pbx.features.codes import Feature
from opx.pbx.options import DEFAULT_CODES, NodeOptions

Port = Annotated[int, Field(ge=1, le=65535)]


class ExtensionSettings(Settings):
    """An extension to make at the start when it is not there yet. Its password is random unless it is given."""

    number: str = Field(pattern=r"^[0-9*#]{1,16}$")
    name: str = ""
    type: Literal["SIP", "SIP hot desk"] = "SIP"
    password: str = Field(default="", repr=False)
    pickup_group: str = Field(default="", pattern=r"^[A-Za-z0-9_\-]{0,16}$")
    """Those of one group pick up each other's calls by the code `pickup_group`. Empty: as the API set it."""
    pin: str = Field(default="", pattern=r"^([0-9]{4,16})?$", repr=False)
    """With it a hot desk extension logs in; 4 to 16 digits, kept hashed. Empty: as the API set it."""


Code = Annotated[str, Field(pattern=r"^[0-9*#]{0,8}$")]


class CodeSettings(Settings):
    """What phones dial to use a feature; an empty code switches it off. `docs/pbx.md` explains each."""

    forward_all: Code = DEFAULT_CODES[Feature.FORWARD_ALL]
    forward_all_off: Code = DEFAULT_CODES[Feature.FORWARD_ALL_OFF]
    forward_busy: Code = DEFAULT_CODES[Feature.FORWARD_BUSY]
    forward_busy_off: Code = DEFAULT_CODES[Feature.FORWARD_BUSY_OFF]
    forward_no_answer: Code = DEFAULT_CODES[Feature.FORWARD_NO_ANSWER]
    forward_no_answer_off: Code = DEFAULT_CODES[Feature.FORWARD_NO_ANSWER_OFF]
    dnd: Code = DEFAULT_CODES[Feature.DND]
    dnd_off: Code = DEFAULT_CODES[Feature.DND_OFF]
    pickup: Code = DEFAULT_CODES[Feature.PICKUP]
    pickup_group: Code = DEFAULT_CODES[Feature.PICKUP_GROUP]
    leave_message: Code = DEFAULT_CODES[Feature.LEAVE_MESSAGE]
    clear_messages: Code = DEFAULT_CODES[Feature.CLEAR_MESSAGES]
    log_in: Code = DEFAULT_CODES[Feature.LOG_IN]
    log_out: Code = DEFAULT_CODES[Feature.LOG_OUT]

    @model_validator(mode="after")
    def _differ(self) -> Self:
        codes = [code for code in self.by_feature().values() if code]
        if len(set(codes)) < len(codes):
            raise ValueError("two features have the same code; expected a code of its own for each")
        return self

    def by_feature(self) -> dict[Feature, str]:
        return {feature: getattr(self, feature.value) for feature in Feature}


class PbxSettings(Settings):
    """The whole file."""

    name: str = "MiVO 250"
    address: str
    port: Port = 5060
    transports: tuple[Literal["UDP", "TCP"], ...] = ("UDP", "TCP")
    api_port: Port = 8445
    database: Path = Path("pbx.db")
    key_file: Path = Path("pbx.key")
    certificates: Path = Path("pbx-certificates")
    token_file: Path = Path("pbx.token")
    """The management API's token, made at the first start, for its owner only."""
    realm: str = "pbx"
    digest_algorithms: tuple[Literal["MD5", "SHA-256"], ...] = ("MD5",)
    """In order of preference. Office phones and gateways of all ages know MD5; many know nothing else."""
    version: str = "6.3 SP1"
    ct_gateway_version: str = "5.0.64"
    rtp_ports: tuple[Port, Port] = (6004, 7003)
    min_expires: int = Field(default=60, ge=1)
    max_expires: int = Field(default=3600, ge=60)
    ring_time: float = Field(default=30.0, gt=0)
    """How long an extension rings before a call ends unanswered."""
    calls_per_extension: int = Field(default=2, ge=1)
    """With one call less than this, a further caller hears busy."""
    forward_after: float = Field(default=15.0, gt=0)
    """How long an extension rings before a call goes to where it forwards calls on no answer."""
    forward_limit: int = Field(default=5, ge=1, le=20)
    """Extensions that one call may be forwarded by; with one more the caller hears 483. Circles are found before."""
    refer: bool = True
    """Whether phones may transfer with REFER. Without, it is missing in Allow and answered 405, as some PBXs do."""
    subscriptions_per_extension: int = Field(default=300, ge=1)
    """Lamps that one phone may watch: three key modules of 84 keys and some more."""
    hot_desk_tries: int = Field(default=5, ge=1)
    """Wrong PINs after which a hot desk extension is locked."""
    hot_desk_lockout: float = Field(default=300.0, gt=0)
    """How long it then is."""
    codes: CodeSettings = CodeSettings()
    echo: str = "*9"
    milliwatt: str = "*8"
    extension: tuple[ExtensionSettings, ...] = ()

    @property
    def database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.database.absolute()}"

    def node_options(self) -> NodeOptions:
        return NodeOptions(
            min_expires=self.min_expires,
            max_expires=self.max_expires,
            ring_time=self.ring_time,
            forward_after=self.forward_after,
            forward_limit=self.forward_limit,
            calls_per_extension=self.calls_per_extension,
            refer=self.refer,
            subscriptions_per_extension=self.subscriptions_per_extension,
            hot_desk_tries=self.hot_desk_tries,
            hot_desk_lockout=self.hot_desk_lockout,
            codes=self.codes.by_feature(),
        )
