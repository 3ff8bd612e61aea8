"""What needs somebody's attention, for a console's first page."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Concern:
    """`kind` is "bad" or "warn"; `path` is the page to look at, "" when there is none."""

    kind: str
    text: str
    path: str = ""
