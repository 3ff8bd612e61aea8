"""A syslog line as phones send it: RFC 5424, or what came before (RFC 3164), which anything may be."""

import re
from dataclasses import dataclass

MAX_LINE = 2048
"""Bytes that are read of a datagram (RFC 5424 section 6.1)."""
MAX_TEXT = 500
DEFAULT_PRIORITY = 13
"""Of a line without one (RFC 3164 section 4.3.3): user, notice."""
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")

_PRIORITY = re.compile(r"<(0|[1-9]\d{0,2})>")
_NEW = re.compile(
    r"1 (?P<time>\S{1,64}) (?P<host>\S{1,255}) (?P<app>\S{1,48}) \S{1,128} \S{1,32} (?P<rest>(?:-|\[).*|-)\Z", re.DOTALL
)
_OLD = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:(?P<host>\S{1,255}) )?(?P<rest>.*)\Z", re.DOTALL)
_DATA = re.compile(r'\[[^ \]="]{1,32}(?: [^ \]="]{1,32}="(?:[^"\\\]]|\\.)*")*\]', re.DOTALL)
_MAC = re.compile(
    r"(?<![0-9A-F])(?:00[:-]?08[:-]?5D|08[:-]?00[:-]?0F|14[:-]?00[:-]?E9)(?:[:-]?[0-9A-F]{2}){3}(?![0-9A-F])", re.I
)
"""Of the maker's desk phones."""


@dataclass(frozen=True, slots=True)
class SyslogMessage:
    """`severity` is an index of SEVERITIES; `mac` what the line names, "" where it names none."""

    severity: int
    text: str
    mac: str = ""


def read_message(data: bytes) -> SyslogMessage:
    """Whatever came, as well as it can be read. Control characters never pass."""
    line = data[:MAX_LINE].decode("utf-8", "replace").strip("\0\r\n \ufeff")
    priority = DEFAULT_PRIORITY
    match = _PRIORITY.match(line)
    if match and int(match[1]) <= 191:
        priority, line = int(match[1]), line[match.end() :]
    found = _MAC.search(line)
    mac = re.sub("[:-]", "", found[0]).upper() if found else ""
    return SyslogMessage(priority & 7, _plain(_body(line)), mac)


def _body(line: str) -> str:
    """Without time and host, which are known better from the datagram."""
    new = _NEW.match(line)
    if new:
        rest = new["rest"]
        while part := _DATA.match(rest):
            rest = rest[part.end() :]
        text = rest.removeprefix("-").lstrip(" \ufeff")
        return text if new["app"] == "-" else f"{new['app']}: {text}"
    old = _OLD.match(line)
    return old["rest"] if old else line


def _plain(text: str) -> str:
    kept = "".join(char if char.isprintable() else " " for char in text).strip()
    return kept if len(kept) <= MAX_TEXT else f"{kept[: MAX_TEXT - 1]}…"
