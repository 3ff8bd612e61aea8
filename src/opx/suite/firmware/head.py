"""What a firmware file says of itself."""

import re

HEAD_BYTES = 65_536
"""How far into a file its version is looked for."""

_VERSION = re.compile(rb"(?<![0-9.])([0-9]{1,2}(?:\.[0-9]{1,5}){3})-SIP(?![A-Za-z0-9])")
_WRITTEN = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,5}){3}(?:-SIP)?\Z")
_MODEL = re.compile(r"[0-9]{4}[a-z]{0,2}\Z")
_FILE = re.compile(r"(?:Mitel|Aastra)?(?P<model>[0-9]{4}[a-z]{0,2})[^/\\]*\.st\Z", re.IGNORECASE)


def version_in(head: bytes) -> str:
    """Such as "6.4.0.140-SIP"; "" when the head does not say."""
    match = _VERSION.search(head[:HEAD_BYTES])
    return f"{match[1].decode()}-SIP" if match else ""


def version_typed(text: str) -> str:
    """A version as people write it, in the same form. ValueError."""
    if not _WRITTEN.match(text):
        raise ValueError("expected a version such as 6.4.0.140-SIP")
    return f"{text.removesuffix('-SIP')}-SIP"


def model_typed(text: str) -> str:
    """ValueError."""
    name = text.removeprefix("Mitel").removeprefix("Aastra").strip()
    if not _MODEL.match(name):
        raise ValueError("expected a model such as 6930 or 6867i")
    return name


def model_in(file_name: str) -> str:
    """The model that a file is named after, such as `6930.st`; "" when it is named otherwise."""
    match = _FILE.match(file_name)
    return match["model"].lower() if match else ""
