"""How a node behaves, without its settings file: what playbooks and the service give it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from opx.pbx.features.codes import Feature

DEFAULT_CODES: Mapping[Feature, str] = {
    Feature.FORWARD_ALL: "*72",
    Feature.FORWARD_ALL_OFF: "*73",
    Feature.FORWARD_BUSY: "*90",
    Feature.FORWARD_BUSY_OFF: "*91",
    Feature.FORWARD_NO_ANSWER: "*92",
    Feature.FORWARD_NO_ANSWER_OFF: "*93",
    Feature.DND: "*78",
    Feature.DND_OFF: "*79",
    Feature.PICKUP: "**",
    Feature.PICKUP_GROUP: "*80",
    Feature.LEAVE_MESSAGE: "*94",
    Feature.CLEAR_MESSAGES: "*95",
    Feature.LOG_IN: "*11",
    Feature.LOG_OUT: "*12",
}
"""North America's vertical service codes where there is one; the settings' defaults."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """Times in seconds; `pbx.settings` says what each is for."""

    min_expires: int = 60
    max_expires: int = 3600
    ring_time: float = 30.0
    forward_after: float = 15.0
    forward_limit: int = 5
    calls_per_extension: int = 2
    refer: bool = True
    subscriptions_per_extension: int = 300
    hot_desk_tries: int = 5
    hot_desk_lockout: float = 300.0
    codes: Mapping[Feature, str] = field(default_factory=lambda: DEFAULT_CODES)
