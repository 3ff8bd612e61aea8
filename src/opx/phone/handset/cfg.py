"""Configuration files as a handset reads them: `name: value` lines, `#` comments, `!` locks, `^` resets.

Strict: what a handset would skip is told as a problem, with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from opx.phone.handset import parameters

MAX_BYTES = 512 * 1024
"""Of one file. A handset has little memory; whole directories are files of their own."""
MAX_VALUE = 2048
"""Characters of a value; the longest that provisioners write are URIs of a few hundred."""

_LINE = re.compile(r"(?P<flag>[!^]?)(?P<name>[A-Za-z][^:\"]*?)\s*:(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Setting:
    """`locked`: the user cannot change it. `reset`: what the user has changed is given up."""

    value: str
    locked: bool = False
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that a handset does not understand. `line` counts from 1; 0 is the file as a whole."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """`settings` by lower-case name. `empty`: there was nothing in it to read, not even a comment."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    empty: bool = True

    def __getitem__(self, name: str) -> str:
        """A parameter's value; KeyError."""
        return self.settings[name.lower()].value


@lru_cache(maxsize=256)
def read(text: str) -> ConfigFile:
    """Read a file's text. Never raises; thousands of handsets that have the same file share the result."""
    settings: dict[str, Setting] = {}
    problems: list[Problem] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip().removeprefix("\ufeff")
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            problems.append(Problem(number, f"cannot be read: {_shown(line)}"))
            continue
        name = found["name"].strip().lower()
        value, trouble = _value(found["value"].strip())
        if trouble:
            problems.append(Problem(number, f"{name}: {trouble}"))
            continue
        if name in settings:
            problems.append(Problem(number, f"{name}: set twice in one file"))
        if trouble := parameters.trouble(name, value):
            problems.append(Problem(number, trouble))
        settings[name] = Setting(value, found["flag"] == "!", found["flag"] == "^")
    return ConfigFile(settings, tuple(problems), not text.strip())


def read_bytes(data: bytes) -> ConfigFile:
    """The same for what a server sent."""
    if len(data) > MAX_BYTES:
        return ConfigFile(problems=(Problem(0, f"larger than {MAX_BYTES} bytes"),), empty=False)
    try:
        return read(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return ConfigFile(problems=(Problem(0, f"not UTF-8 at byte {error.start}"),), empty=False)


def merged(files: Iterable[ConfigFile]) -> dict[str, Setting]:
    """The files one over the other, the last one uppermost."""
    together: dict[str, Setting] = {}
    for file in files:
        together.update(file.settings)
    return together


def _value(text: str) -> tuple[str, str]:
    """The value without quotes, and what is wrong with it."""
    if text.startswith('"'):
        if len(text) < 2 or not text.endswith('"') or '"' in text[1:-1]:
            return "", "quotes do not match"
        text = text[1:-1]
    elif '"' in text:
        return "", "a quote in the middle"
    if len(text) > MAX_VALUE:
        return "", f"longer than {MAX_VALUE} characters"
    if any(ord(character) < 0x20 and character != "\t" for character in text):
        return "", "a control character"
    return text, ""


def _shown(line: str) -> str:
    """Enough to find the line; the rest may hold a password."""
    return repr(line.partition(":")[0][:40])
