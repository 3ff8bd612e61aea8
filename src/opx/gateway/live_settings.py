"""Which settings a running gateway takes over at once, and what waits for its next start."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from opx.gateway.settings import GatewaySettings

Path = tuple[str, ...]

LIVE: frozenset[Path] = frozenset(
    {
        ("registration", "set_min_expires"),
        ("registration", "set_default_expires"),
        ("registration", "set_max_expires"),
        ("keep_alive", "kind"),
        ("keep_alive", "interval"),
        ("limits", "licences"),
        ("limits", "calls"),
        ("limits", "calls_per_device"),
        ("limits", "retry_after"),
        ("limits", "emergency_numbers"),
    }
)
"""What is looked at for each message; all else is built into sockets, processes and what is running already."""


class CannotTake(Exception):
    """What would change at once does not go with what waits for the next start; the text says why."""


def at_once(running: GatewaySettings, wanted: GatewaySettings) -> GatewaySettings:
    """`running` with those of `wanted` that change at once. CannotTake."""
    values = running.model_dump()
    for table, name in LIVE:
        values[table][name] = getattr(getattr(wanted, table), name)
    try:
        return GatewaySettings.model_validate(values)
    except ValidationError as error:
        reasons = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
        raise CannotTake(f"nothing changes before the next start: {reasons}") from None


def differing(running: GatewaySettings, wanted: GatewaySettings) -> dict[Path, tuple[Any, Any]]:
    """All settings that differ, with both values."""
    before, after = dict(_leaves(running)), dict(_leaves(wanted))
    return {path: (before[path], after[path]) for path in after if before[path] != after[path]}


def waiting(running: GatewaySettings, wanted: GatewaySettings) -> dict[Path, tuple[Any, Any]]:
    """Those of them that wait for the next start."""
    return {path: values for path, values in differing(running, wanted).items() if path not in LIVE}


def value_at(settings: GatewaySettings, path: Path) -> Any:
    value: Any = settings
    for name in path:
        value = getattr(value, name)
    return value


def _leaves(model: BaseModel, above: Path = ()) -> list[tuple[Path, Any]]:
    found: list[tuple[Path, Any]] = []
    fields: Mapping[str, Any] = type(model).model_fields
    for name in fields:
        value = getattr(model, name)
        found += _leaves(value, (*above, name)) if isinstance(value, BaseModel) else [((*above, name), value)]
    return found
