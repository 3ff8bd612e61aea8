"""What a handset keeps without power: firmware, the server's files as last read, what was changed, certificates."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opx.phone.handset.models import Model

_IMAGE = re.compile(rb"\b(?P<model>69\d\d)\b[^\n]{0,80}?\b(?P<version>\d+(?:\.\d+){2,4})-SIP\b")
IMAGE_HEAD = 4096
"""Bytes of an image in which its model and version stand."""


class NoFirmware(ValueError):
    """A file is no SIP firmware for this model; the text says why."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """`kind` is MiNET or SIP. `etag` is what the server called the image that was flashed."""

    kind: str = "MiNET"
    version: str = "1.8.0.12"
    digest: str = ""
    etag: str = ""

    @property
    def sip(self) -> bool:
        return self.kind == "SIP"


def version_of(image: bytes, model: Model) -> str:
    """The SIP firmware version that an image holds. NoFirmware.

    The real images' format is not published. Ours, for trials, says model and version in one line near its beginning,
    as `MITEL 6930 6.4.0.140-SIP`.
    """
    found = _IMAGE.search(image[:IMAGE_HEAD])
    if found is None:
        raise NoFirmware("it is no SIP firmware")
    if found["model"].decode() != model.name:
        raise NoFirmware(f"it is firmware for the {found['model'].decode()}, not the {model.name}")
    return found["version"].decode()


@dataclass(slots=True)
class Flash:
    """`server_files` by name as they were last read; `files` are languages and directories by parameter."""

    firmware: Firmware = field(default_factory=Firmware)
    server_files: dict[str, str] = field(default_factory=dict, repr=False)
    local: dict[str, str] = field(default_factory=dict, repr=False)
    override: dict[str, str] = field(default_factory=dict, repr=False)
    one_boot: dict[str, str] = field(default_factory=dict, repr=False)
    certificates: str = ""
    """PEM of authorities that were installed."""
    files: dict[str, str] = field(default_factory=dict, repr=False)
    digest: tuple[str, str] | None = field(default=None, repr=False)
    """User name and password that were typed at the Log In key."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Flash:
        """ValueError when it is no flash memory's content."""
        try:
            digest = data.get("digest")
            return cls(
                **{
                    **data,
                    "firmware": Firmware(**data["firmware"]),
                    "digest": (str(digest[0]), str(digest[1])) if digest else None,
                }
            )
        except (KeyError, TypeError, IndexError, AttributeError):
            raise ValueError("it is not the state of a handset") from None


class FlashFile:
    """A flash memory in a file of its owner's only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Flash | None:
        """None when there is none yet. OSError, ValueError."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return Flash.from_json(json.loads(text))
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None

    def write(self, flash: Flash) -> None:
        """All of it or nothing, for a handset may lose its power at any moment."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(flash.to_json(), file, indent=1)
        new.replace(self.path)
