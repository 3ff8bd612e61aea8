"""Taking ICPs and devices over from a file, as often as one likes."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from opx.config import ConfigError, Settings, line_of, load_settings
from opx.gateway.passwords import weakness_of
from opx.gateway.repository import BatchError, DeviceSpec, IcpSpec, NodeAddress, Repository, RepositoryError
from opx.password_files import read_password

log = logging.getLogger(__name__)


class NodeEntry(Settings):
    """A further node of an ICP's PBX."""

    host: str
    port: int | None = None
    transport: Literal["UDP", "TCP"] = "UDP"


class IcpEntry(Settings):
    name: str
    type: str = "SIP PBX"
    host: str
    port: int | None = None
    transport: Literal["UDP", "TCP"] = "UDP"
    nodes: tuple[NodeEntry, ...] = ()

    @property
    def spec(self) -> IcpSpec:
        nodes = tuple(NodeAddress(node.host, node.port, node.transport) for node in self.nodes)
        return IcpSpec(self.name, self.host, self.port, self.transport, self.type, nodes)


class Password(Settings):
    """A password as text, or where it stands: in a file, or in an environment variable."""

    text: str | None = Field(default=None, repr=False)
    file: Path | None = None
    env: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if isinstance(value, str):
            return {"text": value}
        if not isinstance(value, dict):
            raise ValueError("is neither text nor a table; expected the password, or { file = ... }, or { env = ... }")
        return value

    @model_validator(mode="after")
    def _one(self) -> "Password":
        if sum(place is not None for place in (self.text, self.file, self.env)) != 1:
            raise ValueError("names no place, or two; expected either file or env")
        return self

    def read(self, folder: Path) -> str:
        """Relative files start at `folder`. ValueError says what is wrong with the place."""
        if self.file is not None:
            return read_password(folder / self.file)
        if self.env is None:
            return self.text or ""
        password = os.environ.get(self.env, "")
        if not password:
            raise ValueError(f"the environment has no {self.env}; expected the password in it")
        return password


class DeviceEntry(Settings):
    username: str
    password: Password
    icp: str
    icp_username: str = ""
    icp_password: Password = Password(text="")
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
    """Add or change all that `path` names, or nothing when there is any mistake; nothing is removed.

    Relative password files start at the file's folder. ConfigError names every mistake by line and key.
    """
    entries = load_settings(ImportFile, path)
    source = _Source(path, path.read_text(encoding="utf-8"))  # noqa: ASYNC240
    if path.stat().st_mode & 0o077 and any(d.password.text or d.icp_password.text for d in entries.device):  # noqa: ASYNC240
        log.warning("%s: others can read the passwords in it (chmod 600)", path)
    icps = [icp.spec for icp in entries.icp]
    devices = [source.device(index, entry, permit_weak) for index, entry in enumerate(entries.device)]
    source.once("icp", "name", [icp.name for icp in icps])
    source.once("device", "username", [device.username for device in entries.device])
    for what, specs_of in (("icp", icps), ("device", devices)):
        for index, spec in enumerate(specs_of):
            if spec is not None:
                source.check(what, index, spec)
    if not source.problems:
        specs = [device for device in devices if device is not None]
        try:
            return Imported(len(icps), len(specs), await repository.put_all(icps, specs))
        except BatchError as error:
            for what, index, problem in error.problems:
                source.refused(what, index, problem)
    raise ConfigError(source.problems)


class _Source:
    """The file's text, and the mistakes found in it."""

    def __init__(self, path: Path, text: str) -> None:
        self.problems: list[str] = []
        self._path = path
        self._text = text

    def problem(self, what: str, index: int, key: str, text: str) -> None:
        line = line_of(self._text, (what, index, key))
        self.problems.append(f"{self._path}:{line}: {what}[{index}].{key}: {text}")

    def refused(self, what: str, index: int, error: RepositoryError) -> None:
        key = error.field or ("name" if what == "icp" else "username")
        self.problem(what, index, key.removeprefix("set_"), str(error))

    def check(self, what: str, index: int, spec: IcpSpec | DeviceSpec) -> None:
        try:
            spec.check()
        except RepositoryError as error:
            self.refused(what, index, error)

    def once(self, what: str, key: str, names: list[str]) -> None:
        seen: set[str] = set()
        for index, name in enumerate(names):
            if name in seen:
                self.problem(what, index, key, f"{name} stands here a second time; expected each once")
            seen.add(name)

    def device(self, index: int, entry: DeviceEntry, permit_weak: bool) -> DeviceSpec | None:
        passwords: list[str] = []
        for key, given in (("password", entry.password), ("icp_password", entry.icp_password)):
            try:
                passwords.append(given.read(self._path.parent))
            except ValueError as error:
                self.problem("device", index, key, str(error))
        if len(passwords) < 2:
            return None
        weakness = weakness_of(passwords[0], entry.username)
        if weakness and not permit_weak:
            text = f"the set-side password is weak ({weakness}); expected a longer, more mixed one"
            self.problem("device", index, "password", text)
        return DeviceSpec(
            entry.username, passwords[0], entry.icp, entry.icp_username, passwords[1], entry.description, entry.enabled
        )
