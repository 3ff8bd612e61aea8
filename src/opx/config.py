"""Settings files: TOML in, a typed model out, and every mistake named with its file, line and key."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from opx.toml_lines import Key, TomlLines


class Settings(BaseModel):
    """Base of all settings: unknown keys are mistakes, values do not change while a program runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def beside(self, folder: Path) -> Self:
        """The same with the relative paths of the file's top level, and of its tables, taken from `folder`."""
        update: dict[str, object] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Path):
                update[name] = folder / value
            elif isinstance(value, Settings):
                update[name] = value.beside(folder)
        return self.model_copy(update=update)


class ConfigError(Exception):
    """One or more mistakes in a settings file, each `file:line: key: problem; expected ...`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


ModelT = TypeVar("ModelT", bound=BaseModel)


def load_settings(model: type[ModelT], path: Path) -> ModelT:
    """Read `path` into `model`. ConfigError with all mistakes at once.

    Relative paths that `Settings` hold start at the file's folder, not at wherever the program was started.
    """
    return SettingsFile.read(path).settings(model)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read once, for programs of several processes that are to agree on it."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> "SettingsFile":
        """ConfigError."""
        try:
            return cls(path.absolute(), path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
        except UnicodeDecodeError:
            raise ConfigError([f"{path}: is not UTF-8 text"]) from None

    def settings(self, model: type[ModelT]) -> ModelT:
        """As `load_settings` gives them."""
        settings = parse_settings(model, self.text, str(self.path))
        return settings.beside(self.path.parent) if isinstance(settings, Settings) else settings


def parse_settings(model: type[ModelT], text: str, name: str) -> ModelT:
    """Like `load_settings` for a text; `name` stands for the file in messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_not_toml(str(error), text, name)]) from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = TomlLines(text)
        placed = sorted(((lines.of(detail["loc"]), detail) for detail in error.errors()), key=lambda pair: pair[0])
        raise ConfigError([_problem(model, detail, f"{name}:{line}") for line, detail in placed]) from None


def line_of(text: str, key: Key) -> int:
    """The line on which a key of a valid text stands, or the nearest table around it; counted from 1."""
    return TomlLines(text).of(key)


def _not_toml(message: str, text: str, name: str) -> str:
    """tomllib ends its messages with the place: "(at line 3, column 5)" or "(at end of document)"."""
    problem, _, place = message.partition(" (at ")
    match = re.match(r"line (\d+)", place)
    line = int(match.group(1)) if match else max(1, len(text.splitlines()))
    if problem == "Cannot overwrite a value":
        return f"{name}:{line}: a key is there twice; expected each key once"
    return f"{name}:{line}: {problem}; expected TOML"


def _problem(model: type[BaseModel], detail: ErrorDetails, place: str) -> str:
    key: Key = detail["loc"]
    dotted = ".".join(str(part) if isinstance(part, str) else f"[{part}]" for part in key).replace(".[", "[")
    where = f"{place}: {dotted}" if dotted else place
    return f"{where}: {problem_with(model, detail)}"


def problem_with(model: type[BaseModel], detail: ErrorDetails) -> str:
    """What is wrong with a value and what would be right, in the words of who writes a settings file."""
    key: Key = detail["loc"]
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(model, key[:-1])
        near = difflib.get_close_matches(str(key[-1]), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(sorted(known))}"
        return f"unknown key; {hint}"
    if kind == "missing":
        return f"is missing; expected {_kind_at(model, key)}"
    if kind == "string_pattern_mismatch":
        return f"is not allowed; expected text that matches {context['pattern']}"
    if kind in _KINDS:
        return f"is not allowed; expected {_KINDS[kind]}"
    message = detail["msg"].removeprefix("Value error, ")
    if "; expected" in message:
        return message
    return f"is not allowed; expected {message.removeprefix('Input ').removeprefix('should be ')}"


_KINDS = {
    "string_type": "text in quotes",
    "tuple_type": "a list in brackets",
    "list_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "path_type": "a path in quotes",
}
"""What pydantic's error types ask for, in the words of who writes a settings file."""


def _kind_at(model: type[BaseModel], key: Key) -> str:
    """What a missing key wants to be."""
    owner = _model_at(model, key[:-1])
    field = owner.model_fields.get(str(key[-1])) if owner else None
    annotation = get_origin(field.annotation) or field.annotation if field else None
    named = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    if isinstance(annotation, type):
        if issubclass(annotation, (BaseModel, Mapping)):
            return "a table"
        if issubclass(annotation, (tuple, list)):
            return "a list in brackets"
        return named.get(annotation, "a value")
    return "a value"


def _known_keys(model: type[BaseModel], key: Key) -> list[str]:
    owner = _model_at(model, key)
    return list(owner.model_fields) if owner else []


def _model_at(model: type[BaseModel], key: Key) -> type[BaseModel] | None:
    """The model of the table at `key`."""
    current: type[BaseModel] | None = model
    for part in key:
        if current is None:
            return None
        if isinstance(part, str):
            field = current.model_fields.get(part)
            current = _model_in(field.annotation) if field else None
    return current


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _model_in(argument)) is not None:
            return found
    return None
