"""What the running gateway tells the pages; while it does not answer they show what was stored."""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from opx.gateway.control.protocol import Control, ControlError, LiveCall, Registration, Status

_MODEL = re.compile(r"(Mitel|Aastra)[ /]?(\d{4}[A-Za-z]{0,2})\b(?:.*?\bV:([\w.]{1,32}))?")
MAX_MODEL = 60

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveDevices:
    """Registrations and calls of some devices by their ids; `answered` False when the gateway did not say."""

    answered: bool
    registrations: dict[int, list[Registration]] = field(default_factory=dict)
    calls: dict[int, list[LiveCall]] = field(default_factory=dict)


async def status_of(control: Control) -> Status | None:
    """None when the gateway does not answer."""
    try:
        return await control.status()
    except ControlError as error:
        log.info("the gateway does not tell its status: %s", error)
        return None


async def live_devices(control: Control, device_ids: Sequence[int]) -> LiveDevices:
    """What is so now for the devices of one page."""
    if not device_ids:
        return LiveDevices(True)
    registrations: dict[int, list[Registration]] = defaultdict(list)
    calls: dict[int, list[LiveCall]] = defaultdict(list)
    try:
        for registration in (await control.registrations(device_ids=tuple(device_ids))).items:
            registrations[registration.device_id].append(registration)
        for call in (await control.calls(device_ids=tuple(device_ids))).items:
            calls[call.device_id].append(call)
    except ControlError as error:
        log.info("the gateway does not tell its registrations: %s", error)
        return LiveDevices(False)
    return LiveDevices(True, dict(registrations), dict(calls))


def phone_model(user_agent: str) -> str:
    """What a phone is, of what it says of itself: the model and firmware of desk phones, else its first words."""
    match = _MODEL.search(user_agent)
    if match:
        maker, model, firmware = match.groups()
        return f"{maker} {model}" + (f", {firmware}" if firmware else "")
    text = user_agent.strip()
    return text if len(text) <= MAX_MODEL else f"{text[: MAX_MODEL - 1]}…"
