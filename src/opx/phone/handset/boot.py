"""What a handset reads at its start, in its order: files, firmware, certificates, languages and directories.

No socket in here: whatever has `get` may answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from opx.phone.handset import cfg
from opx.phone.handset.flash import Firmware, Flash, NoFirmware, version_of
from opx.phone.handset.http import Answer, HttpError
from opx.phone.handset.models import Identity
from opx.phone.handset.trust import Trust
from opx.phone.handset.values import Values
from opx.sip.digest import DigestClient

COMMON_FILES = ("startup.cfg", "aastra.cfg")
"""The first one must have content, under its new name or its old one, or the handset goes no further."""
LANGUAGES = tuple(f"language {number}" for number in range(1, 5))
DIRECTORIES = ("directory 1", "directory 2")

Say = Callable[[str], None]


class Source(Protocol):
    """Where files come from. HttpError when no answer comes."""

    trust: Trust
    digest: DigestClient | None

    async def get(self, url: str, headers: Sequence[tuple[str, str]] = ()) -> Answer: ...


class Outcome(Enum):
    READ = "the configuration was read"
    FLASHED = "new firmware was flashed"
    AWAY = "the server could not be asked; going on with what was read before"
    REFUSED = "the server refuses this handset's file; going on with what was read before"
    NONE = "no configuration server is set"


@dataclass(slots=True)
class Result:
    """`changed`: other values are in force than before. `second_tries`: requests that had to be repeated.

    `problems` are what the handset did not understand, with the file's name before each.
    """

    outcome: Outcome
    changed: bool = False
    second_tries: int = 0
    problems: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    """Of the last answer for each file."""


def base_url(values: Values) -> str:
    """Where the configuration server's root is; "" when none is set."""
    protocol = values["download protocol"].lower()
    if protocol not in ("http", "https", "tftp"):
        return ""
    host = values[f"{protocol} server"].strip()
    if host in ("", "0.0.0.0"):
        return ""
    path = values[f"{protocol} path"].strip("/")
    port = f":{values.number(f'{protocol} port', 0)}" if protocol != "tftp" else ""
    return f"{protocol}://{host}{port}/{f'{path}/' if path else ''}"


def joined(base: str, name: str) -> str:
    """A file's URL, by its name from the server's root or by a URL of its own."""
    return name if "://" in name else base + name.lstrip("/")


def trust_of(values: Values, flash: Flash) -> Trust:
    return Trust(
        values.flag("https validate certificates"),
        values.flag("https validate hostname"),
        values.flag("https validate expires"),
        flash.certificates,
    )


def digest_of(values: Values) -> DigestClient:
    return DigestClient(values["http digest username"], values["http digest password"])


class Boot:
    """One reading of the configuration. `delays` are waited before a file is asked for once more."""

    def __init__(
        self, identity: Identity, flash: Flash, values: Values, source: Source, delays: Sequence[float], say: Say
    ) -> None:
        self._identity = identity
        self._flash = flash
        self._values = values
        self._source = source
        self._delays = delays
        self._say = say
        self._result = Result(Outcome.READ)

    @property
    def files(self) -> tuple[str, ...]:
        return (*COMMON_FILES, f"{self._identity.model.name}.cfg", f"{self._identity.mac}.cfg")

    async def run(self, *, firmware: bool = True) -> Result:
        """Read all; without `firmware`, the configuration files alone, as a resync does. Never raises."""
        result = self._result
        base = base_url(self._values)
        if not base:
            result.outcome = Outcome.NONE
            return result
        try:
            await self._read_files(base)
            if result.outcome is Outcome.READ:
                if firmware and await self._read_firmware(base):
                    result.outcome = Outcome.FLASHED
                    return result
                await self._read_certificates(base)
                self._source.trust = trust_of(self._values, self._flash)
                # What the files have brought is in force for whatever they name.
                if "http digest username" in self._values.server:
                    self._source.digest = digest_of(self._values)
                await self._read_lists(base)
        except HttpError as error:
            result.outcome = Outcome.AWAY
            self._say(f"{base} {error}")
        return result

    # --- configuration files

    async def _read_files(self, base: str) -> None:
        """Take the files all together or not at all: half a configuration is none."""
        texts: dict[str, str] = {}
        parsed: list[cfg.ConfigFile] = []
        for name in self.files:
            answer = await self._get(joined(base, name), name)
            if answer.status == 200:
                file = cfg.read_bytes(answer.body)
                self._result.problems += [f"{name}: {problem}" for problem in file.problems]
                texts[name] = answer.body.decode("utf-8", "replace")
                parsed.append(file)
            elif answer.status != 404:
                self._say(f"{name}: refused with {answer.status}")
                self._result.outcome = Outcome.REFUSED
                return
            if name == COMMON_FILES[-1] and all(file.empty for file in parsed):
                self._result.problems.append(f"{' and '.join(COMMON_FILES)} are empty; no further file is read")
                self._result.outcome = Outcome.REFUSED
                return
        if texts != self._flash.server_files:
            self._flash.server_files = texts
            self._result.changed = True
        self._values.load(parsed)

    # --- firmware

    async def _read_firmware(self, base: str) -> bool:
        """Whether another image than the present one was flashed."""
        flash, name = self._flash, f"{self._identity.model.name}.st"
        root = self._values["firmware server"].strip()
        url = f"{root.rstrip('/')}/{name}" if root else joined(base, name)
        headers = [("If-None-Match", flash.firmware.etag)] if flash.firmware.etag else []
        answer = await self._get(url, name, headers)
        if answer.status != 200:
            return False
        return self.flash(answer.body, answer.header("etag"))

    def flash(self, image: bytes, etag: str = "") -> bool:
        """Flash an image unless it is the present one; one that is no firmware is left."""
        flash = self._flash
        digest = hashlib.sha256(image).hexdigest()
        if digest == flash.firmware.digest:
            flash.firmware = replace(flash.firmware, etag=etag)
            return False
        try:
            version = version_of(image, self._identity.model)
        except NoFirmware as error:
            self._result.problems.append(f"{self._identity.model.name}.st: {error}")
            return False
        flash.firmware = Firmware("SIP", version, digest, etag)
        self._say(f"flashed firmware {version}")
        return True

    # --- what the configuration names

    async def _read_certificates(self, base: str) -> None:
        name = self._values["https user certificates"].strip()
        if not name:
            self._flash.certificates = ""
            return
        text = await self._named(base, "https user certificates", name)
        if text is None:
            return
        if "-----BEGIN CERTIFICATE-----" not in text:
            self._result.problems.append(f"{name}: no certificate in it")
        else:
            self._flash.certificates = text

    async def _read_lists(self, base: str) -> None:
        wanted = {}
        for parameter in (*LANGUAGES, *DIRECTORIES):
            name = self._values[parameter].strip()
            if name and (text := await self._named(base, parameter, name)) is not None:
                wanted[parameter] = text
            elif name and parameter in self._flash.files:
                wanted[parameter] = self._flash.files[parameter]
        self._flash.files = wanted

    async def _named(self, base: str, parameter: str, name: str) -> str | None:
        """A file that a parameter names, by URL or from the server's root."""
        answer = await self._get(joined(base, name), parameter)
        if answer.status == 200:
            return answer.body.decode("utf-8", "replace")
        self._result.problems.append(f"{parameter}: {answer.status} for {name}")
        return None

    async def _get(self, url: str, what: str, headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """An answer other than "not now". HttpError when none comes in all tries."""
        tries = 0
        while True:
            try:
                answer = await self._source.get(url, headers)
                if answer.status < 500 and answer.status != 429:
                    self._result.statuses[what] = answer.status
                    return answer
                problem = f"answered {answer.status}"
            except ValueError as error:
                raise HttpError(str(error)) from None
            except HttpError as error:
                problem = str(error)
            if tries == len(self._delays):
                raise HttpError(problem)
            await asyncio.sleep(self._delays[tries])
            tries += 1
            self._result.second_tries += 1
