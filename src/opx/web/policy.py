"""How long a console's sign-ins hold, and how many wrong ones it takes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConsolePolicy:
    """Times in seconds. `tries_per_user` and `tries_per_source` are wrong sign-ins within `tries_window`."""

    session_idle: float = 1800.0
    session_longest: float = 12 * 3600.0
    link_lifetime: float = 24 * 3600.0
    tries_per_user: int = 10
    tries_per_source: int = 30
    tries_window: float = 900.0
