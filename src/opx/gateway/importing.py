"""Taking ICPs and devices over from a file, as often as one likes."""

import math
import os
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from opx.config import ConfigError, Settings, line_of, load_settings
from opx.gateway.repository import DeviceSpec, Repository, RepositoryError

MIN_PASSWORD_BITS = 40
"""Rough strength below which a password counts as weak: SIP passwords are guessed at network speed."""


class IcpEntry(Settings):
    name: str = Field(min_length=1, max_length=64)
    type: str = "SIP PBX"
    host: str
    port: int = Field(default=5060, ge=1, le=65535)
    transport: Literal["UDP", "TCP"] = "UDP"


class Secret(Settings):
    """A password that stands elsewhere: in a file, or in an environment variable."""

    file: Path | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Secret":
        if (self.file is None) == (self.env is None):
            raise ValueError("expected either file or env")
        return self


class DeviceEntry(Settings):
    username: str
    password: str | Secret = Field(repr=False)
    icp: str
    icp_username: str = ""
    icp_password: str | Secret = Field(default="", repr=False)
    description: str = ""
    enabled: bool = True


class ImportFile(Settings):
    icp: tuple[IcpEntry, ...] = ()
    device: tuple[DeviceEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """How many were in the file, and how many of them changed anything."""

    icps: int
    devices: int
    changed: int


async def import_file(repository: Repository, path: Path, *, permit_weak: bool) -> Imported:
    """Add or change all that `path` names; nothing is removed. ConfigError names every mistake by line."""
    entries = load_settings(ImportFile, path)
    text = path.read_text(encoding="utf-8")  # noqa: ASYNC240
    specs: list[DeviceSpec] = []
    problems: list[str] = []
    for index, entry in enumerate(entries.device):
        where = f"{path}:{line_of(text, ('device', index, 'username'))}: device[{index}]"
        try:
            spec = DeviceSpec(
                entry.username,
                _resolve(entry.password),
                entry.icp,
                entry.icp_username,
                _resolve(entry.icp_password),
                entry.description,
                entry.enabled,
            )
        except OSError as error:
            problems.append(f"{where}: the password cannot be read: {error.strerror}; expected a readable file")
            continue
        except KeyError as error:
            problems.append(f"{where}: the environment has no {error.args[0]}; expected the password in it")
            continue
        weakness = weakness_of(spec.set_password or "", spec.set_username)
        if weakness and not permit_weak:
            problems.append(f"{where}: the set-side password is weak ({weakness}); expected a longer, more mixed one")
        specs.append(spec)
    if problems:
        raise ConfigError(problems)
    changed = 0
    for icp in entries.icp:
        try:
            changed += (await repository.put_icp(icp.name, icp.type, icp.host, icp.port, icp.transport))[1]
        except RepositoryError as error:
            problems.append(f"{path}: icp {icp.name}: {error}")
    for index, spec in enumerate(specs):
        try:
            changed += (await repository.put_device(spec))[1]
        except RepositoryError as error:
            line = line_of(text, ("device", index, "username"))
            problems.append(f"{path}:{line}: device[{index}]: {error}")
    if problems:
        raise ConfigError(problems)
    return Imported(len(entries.icp), len(entries.device), changed)


def weakness_of(password: str, username: str) -> str:
    """Why a password is weak, "" when it is not."""
    if username and username.lower() in password.lower():
        return "it holds the user name"
    if len(set(password)) < 5:
        return "it has hardly any different characters"
    classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    alphabet = sum(len(group) for group in classes if any(char in group for char in password))
    if any(not char.isalnum() for char in password):
        alphabet += 20
    if len(password) * math.log2(max(alphabet, 2)) < MIN_PASSWORD_BITS:
        return "it is too short"
    return ""


def _resolve(password: "str | Secret") -> str:
    if isinstance(password, str):
        return password
    if password.file is not None:
        return password.file.read_text(encoding="utf-8").strip()
    return os.environ[password.env or ""]
