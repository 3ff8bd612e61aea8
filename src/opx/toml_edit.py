"""Changing single values of a TOML text: comments, order and everything else stay as their owner wrote them."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from opx.toml_lines import TomlLines

Value = str | int | float | bool | Sequence[Any] | None
"""None: the key is taken away."""


class CannotEdit(Exception):
    """The text is written in a way that only its owner can change; the text says which key it is about."""


def with_values(text: str, changes: Mapping[tuple[str, ...], Value]) -> str:
    """`text`, which is valid TOML, with other values. CannotEdit.

    The result is read again before it is given back: it holds the changes and nothing else.
    """
    places = TomlLines(text)
    edits: list[tuple[int, int, str]] = []
    fresh: dict[tuple[str, ...], str] = {}
    for key, value in changes.items():
        span = places.spans.get(key)
        if value is None:
            if span is not None:
                edits.append((*_whole_lines(text, key, span.pair, span.stop), ""))
        elif span is not None:
            edits.append((span.start, span.stop, _written(value)))
        else:
            table = key[:-1]
            fresh[table] = fresh.get(table, "") + f"{key[-1]} = {_written(value)}\n"
    behind = ""
    for table, lines in fresh.items():
        if table in places.ends:
            at = _line_end(text, places.ends[table])
            edits.append((at, at, lines if text[at - 1] == "\n" else f"\n{lines}"))
        elif table:
            behind += f"\n[{'.'.join(table)}]\n{lines}"
        else:
            edits.append((0, 0, f"{lines}\n"))
    changed = text
    for start, stop, replacement in sorted(edits, reverse=True):
        changed = changed[:start] + replacement + changed[stop:]
    if behind:
        changed = f"{changed.rstrip()}\n{behind}".lstrip("\n")
    _prove(text, changed, changes)
    return changed


def merged(data: Mapping[str, Any], changes: Mapping[tuple[str, ...], Value]) -> dict[str, Any]:
    """A parsed text with the same changes."""
    result = {name: merged(value, {}) if isinstance(value, dict) else value for name, value in data.items()}
    for key, value in changes.items():
        table = result
        for name in key[:-1]:
            table = table.setdefault(name, {})
        if value is None:
            table.pop(key[-1], None)
        else:
            table[key[-1]] = list(value) if isinstance(value, tuple) else value
    return result


def _prove(before: str, after: str, changes: Mapping[tuple[str, ...], Value]) -> None:
    try:
        found = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        found = {}
    # Tables that a change has emptied or a key was taken from without having been there count as absent.
    if _filled(found) != _filled(merged(tomllib.loads(before), changes)):
        names = ", ".join(".".join(key) for key in changes)
        raise CannotEdit(f"the file is written in a way that does not let {names} be changed from here")


def _filled(data: Mapping[str, Any]) -> dict[str, Any]:
    tables = {name: _filled(value) if isinstance(value, dict) else value for name, value in data.items()}
    return {name: value for name, value in tables.items() if value != {}}


def _whole_lines(text: str, key: tuple[str, ...], start: int, stop: int) -> tuple[int, int]:
    """A pair with its lines; a comment behind it goes along."""
    begin = text.rfind("\n", 0, start) + 1
    end = _line_end(text, stop)
    behind = text[stop:end].strip()
    if text[begin:start].strip() or (behind and not behind.startswith("#")):
        raise CannotEdit(f"{'.'.join(key)} shares its line with something else; it can be taken away by hand only")
    return begin, end


def _line_end(text: str, at: int) -> int:
    """Behind the line's end, or the end of the text."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, str):
        # JSON's strings are TOML's basic strings, DEL apart, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    return str(value)
