"""Settings files: TOML in, a typed model out, and every mistake named with its file, line and key."""

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

Key = tuple[str | int, ...]


class Settings(BaseModel):
    """Base of all settings: unknown keys are mistakes, values do not change while a program runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ConfigError(Exception):
    """One or more mistakes in a settings file, each `file:line: key: problem; expected ...`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


ModelT = TypeVar("ModelT", bound=BaseModel)


def load_settings(model: type[ModelT], path: Path) -> ModelT:
    """Read `path` into `model`. ConfigError with all mistakes at once."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from None
    return parse_settings(model, text, str(path))


def parse_settings(model: type[ModelT], text: str, name: str) -> ModelT:
    """Like `load_settings` for a text; `name` stands for the file in messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = match.group(1) if match else "1"
        raise ConfigError([f"{name}:{line}: {re.sub(r' [(]at .*', '', str(error))}; expected TOML"]) from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError([_problem(model, detail, text, name) for detail in error.errors()]) from None


def line_of(text: str, key: Key) -> int:
    """The line on which a key stands, or its nearest table when it is missing; counted from 1."""
    best_line, best_depth = 1, 0
    counts: dict[tuple[str, ...], int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$", line)
        if header:
            names = _dotted(header.group(2))
            if header.group(1) == "[[":
                counts[names] = counts.get(names, -1) + 1
            table = _indexed(names, counts)
            here: Key = table
        else:
            assignment = re.match(r"\s*([A-Za-z0-9_\-.\"' ]+?)\s*=", line)
            if not assignment:
                continue
            here = (*table, *_dotted(assignment.group(1)))
        depth = _common(here, key)
        if depth > best_depth and depth == len(here):
            best_line, best_depth = number, depth
    return best_line


def _dotted(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


def _indexed(names: tuple[str, ...], counts: dict[tuple[str, ...], int]) -> Key:
    key: list[str | int] = []
    for depth in range(1, len(names) + 1):
        key.append(names[depth - 1])
        if names[:depth] in counts:
            key.append(counts[names[:depth]])
    return tuple(key)


def _common(one: Key, other: Key) -> int:
    depth = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        depth += 1
    return depth


def _problem(model: type[BaseModel], detail: ErrorDetails, text: str, name: str) -> str:
    key: Key = detail["loc"]
    dotted = ".".join(str(part) if isinstance(part, str) else f"[{part}]" for part in key).replace(".[", "[")
    line = line_of(text, key)
    where = f"{name}:{line}: {dotted}" if dotted else f"{name}:{line}"
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, key[:-1])
        near = difflib.get_close_matches(str(key[-1]), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(sorted(known))}"
        return f"{where}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{where}: is missing; expected a value"
    message = detail["msg"].removeprefix("Value error, ")
    if "; expected" in message:
        return f"{where}: {message}"
    return f"{where}: is not allowed; expected: {message.removeprefix('Input ').removeprefix('should be ')}"


def _known_keys(model: type[BaseModel], key: Key) -> list[str]:
    current = model
    for part in key:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        current = inner
    return list(current.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _model_in(argument)) is not None:
            return found
    return None
