"""When somebody else changed what a form is about: what to show, so that nobody overwrites anything unseen."""

from collections.abc import Mapping
from dataclasses import dataclass

from opx.web.audit import AuditEntry


@dataclass(frozen=True, slots=True)
class ChangedField:
    label: str
    stored: str
    typed: str


@dataclass(frozen=True, slots=True)
class Clash:
    """Where what is stored now and what was typed differ; `entry` is the last one about it in the audit log."""

    fields: tuple[ChangedField, ...]
    entry: AuditEntry | None


def clash(
    labels: Mapping[str, str], stored: Mapping[str, str], typed: Mapping[str, str], entry: AuditEntry | None
) -> Clash:
    """`labels` by the names of the fields that can be compared: passwords cannot."""
    differing = tuple(
        ChangedField(label, stored[name], typed[name]) for name, label in labels.items() if stored[name] != typed[name]
    )
    return Clash(differing, entry)
