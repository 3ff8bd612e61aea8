"""Configuration parameters of handsets, typed, and the lines that they become.

A file is `name: value` lines. `!` before a name locks the parameter, `^` takes back what was changed at the handset. A
value with a `#`, which would begin a comment, or with blanks at an end stands in double quotes, for which no escape is
known: a value that holds one, or a line end, cannot be written and is refused.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

MAX_VALUE = 512
"""Characters of a value; the longest known are lists of codecs and addresses of pages."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 .\-]{0,63}(?<! )\Z")


class Hold(StrEnum):
    """What the handset's user may do to a parameter: change it, not change it, or change it until the next fetch."""

    FREE = ""
    LOCKED = "!"
    RESET = "^"


class ParameterError(ValueError):
    """A value that cannot be written into a handset's file. The text names the parameter, not the value."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line. A bool is written as 1 or 0, "" as a blank value. ParameterError from `line`."""

    name: str
    value: str | int | bool
    hold: Hold = Hold.FREE

    @property
    def key(self) -> str:
        """By which parameters of several layers are the same."""
        return self.name.lower()

    def line(self) -> str:
        return f"{self.hold.value}{self.name}: {self._text()}".rstrip()

    def check(self) -> None:
        """ParameterError when it cannot be written."""
        if not _NAME.match(self.name):
            raise ParameterError(f"{self.name[:64]!r} is no name of a parameter")
        self._text()

    def _text(self) -> str:
        if isinstance(self.value, bool):
            return "1" if self.value else "0"
        text = str(self.value)
        if len(text) > MAX_VALUE or not (text.isprintable() or text == "") or '"' in text:
            raise ParameterError(
                f"the value of {self.name!r} cannot be written into a handset's file; expected at most {MAX_VALUE} "
                "printable characters without double quotes"
            )
        return f'"{text}"' if "#" in text or text != text.strip() else text


def merge(*layers: Iterable[Parameter]) -> list[Parameter]:
    """One list out of several: a later layer's value stands, at the place where its name came first."""
    merged: dict[str, Parameter] = {}
    for layer in layers:
        for parameter in layer:
            merged[parameter.key] = parameter
    return list(merged.values())


def locked(parameters: Iterable[Parameter]) -> list[Parameter]:
    return [replace(parameter, hold=Hold.LOCKED) for parameter in parameters]


def render(comment: str, parameters: Sequence[Parameter]) -> bytes:
    """A file. It is never empty, for then the handset would not go on to the next one. ParameterError."""
    for parameter in parameters:
        parameter.check()
    lines = [f"# {comment}", *(parameter.line() for parameter in parameters)]
    return ("\n".join(lines) + "\n").encode("utf-8")
