"""Users from a CSV file: the first line names the columns, cells are separated by commas or semicolons."""

import csv
import io
from dataclasses import dataclass, field

from opx.suite.users.records import Role, weakness_of

COLUMNS = ("user name", "password", "full name", "role", "business unit", "client profile", "extensions")
MAX_BYTES = 1024 * 1024
MAX_USERS = 5000
MAX_PASSWORDS = 200
"""In one file: each takes a twentieth of a second to be hashed, and somebody waits for the page."""
MAX_MISTAKES = 50
"""Mistakes that are told at once."""


@dataclass(frozen=True, slots=True)
class ReadUser:
    """`extensions` are numbers, the primary one first. None: the file has no such column; a `password` of "" leaves
    what is stored, too."""

    line: int
    name: str
    password: str = field(default="", repr=False)
    full_name: str | None = None
    role: Role | None = None
    business_unit: str | None = None
    client_profile: str | None = None
    extensions: tuple[str, ...] | None = None


class UsersCsvError(Exception):
    """`mistakes` say each in which line it is, and repeat no password."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def parse(data: bytes) -> list[ReadUser]:
    """Every user of a file. UsersCsvError with all its mistakes, up to MAX_MISTAKES."""
    if len(data) > MAX_BYTES:
        raise UsersCsvError([f"the file is too long; expected at most {MAX_BYTES // 1024} kB"])
    try:
        text = data.decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = ";" if first.count(";") > first.count(",") else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        head = [_folded(name or "") for name in reader.fieldnames or ()]
        if "user name" not in head or not set(head) <= set(COLUMNS) or len(set(head)) < len(head):
            raise UsersCsvError([f"line 1: expected user name and as there are any of: {', '.join(COLUMNS[1:])}"])
        reader.fieldnames = head
        rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError:
        raise UsersCsvError(["the file is no UTF-8 text; save it as CSV UTF-8"]) from None
    except csv.Error:
        raise UsersCsvError(["the file is no CSV; its quotation marks are not in order"]) from None
    if len(rows) > MAX_USERS:
        raise UsersCsvError([f"expected at most {MAX_USERS} users"])
    mistakes: list[str] = []
    found = [_user(line, row, mistakes) for line, row in rows]
    if sum(bool(user.password) for user in found) > MAX_PASSWORDS:
        mistakes.append(f"expected at most {MAX_PASSWORDS} passwords in one file; split it")
    seen: dict[str, int] = {}
    for user in found:
        if (before := seen.setdefault(user.name.casefold(), user.line)) != user.line:
            mistakes.append(f"line {user.line}: {user.name} stands in line {before} already")
    if mistakes:
        raise UsersCsvError(mistakes[:MAX_MISTAKES])
    return found


def _user(line: int, row: dict[str, str | None], mistakes: list[str]) -> ReadUser:
    if None in row or None in row.values():
        mistakes.append(f"line {line}: there are more or fewer cells than columns")
    cells = {name: (value or "").strip() for name, value in row.items() if isinstance(value, str | None) and name}
    name, password = cells.get("user name", ""), row.get("password") or ""
    if not name:
        mistakes.append(f"line {line}: there is no user name")
    if password and (weakness := weakness_of(password, name)):
        mistakes.append(f"line {line}: the password: {weakness}")
    role = None
    if cells.get("role"):
        role = next((role for role in Role if _folded(role.value) == _folded(cells["role"])), None)
        if role is None:
            mistakes.append(f"line {line}: there is no such role; expected one of: {', '.join(Role)}")
    numbers = tuple(cells["extensions"].split()) if "extensions" in cells else None
    return ReadUser(
        line,
        name,
        password,
        cells.get("full name"),
        role,
        cells.get("business unit"),
        cells.get("client profile"),
        numbers,
    )


def _folded(text: str) -> str:
    return " ".join(text.replace("_", " ").split()).lower()
