"""Which phone a request says that it comes from: the handset's User-Agent names model, MAC and firmware.

It identifies and does not authenticate: anybody may send it. What does not look like a handset's to the letter is none.
"""

import re
from urllib.parse import unquote

from opx.suite.handsets.catalogue import SHORT_NAMES
from opx.suite.handsets.http import Identity

MAX_USER_AGENT = 128

_HANDSET = re.compile(
    r"(?:Mitel|Aastra)(?P<model>[0-9]{2,4}[a-z]{0,2}) MAC:(?P<mac>[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}) "
    r"V:(?P<firmware>[A-Za-z0-9._\-]{1,32})\Z"
)
_PATH = re.compile(r"/[A-Za-z0-9._~\-/%+:@!$'(),;=*&]{0,255}\Z")
_MAC_FILE = re.compile(r"(?P<mac>[0-9A-Fa-f]{12})\.cfg\Z")


def identify(user_agent: str) -> Identity | None:
    """None when it is no handset's."""
    if len(user_agent) > MAX_USER_AGENT:
        return None
    match = _HANDSET.match(user_agent)
    if match is None:
        return None
    model = match["model"]
    mac = match["mac"].replace("-", "").upper()
    return Identity(SHORT_NAMES.get(model, model), mac, match["firmware"], user_agent)


def path_of(raw: bytes) -> str | None:
    """The decoded path without its leading slash; None for one that no phone asks for, such as `/../`."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        return None
    if not _PATH.match(text):
        return None
    path = unquote(text[1:], errors="replace") if "%" in text else text[1:]
    if any(part in ("", ".", "..") for part in path.split("/")) or not path.isprintable() or "\\" in path:
        return None
    return path


def mac_of(path: str) -> str | None:
    """Of a phone's own file `<MAC>.cfg`, in either case; None for any other path."""
    match = _MAC_FILE.match(path)
    return match["mac"].upper() if match else None
