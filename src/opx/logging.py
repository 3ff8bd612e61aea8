"""How all programs log: a line per event for people or as JSON, one line each, and no secret in any.

Modules log through the standard library (`logging.getLogger(__name__)`); `set_up` decides what becomes of it.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import TextIO

import structlog

from opx.config import ConfigError

LEVELS = ("debug", "info", "warning", "error")
MASK = "***"
MAX_TEXT = 16 * 1024
"""Characters of one text that are logged; a stranger could send more."""

EventDict = MutableMapping[str, object]

_REST = r".*?(?=\\r|\\n|[\r\n]|$)"
"""Up to the end of a header or SDP line, also one whose line end is written as an escape."""
_NAMES = r"(?:password|passwd|secret|token|(?<![a-z0-9])ha1)"
_SECRET_KEY = re.compile(rf"(?:.*[_-])?(?:{_NAMES}|authorization)", re.IGNORECASE)
_SECRETS = (
    re.compile(rf"(Authorization[\"']?\s*[:=]\s*){_REST}", re.IGNORECASE),
    re.compile(rf"(a=crypto:){_REST}", re.IGNORECASE),
    re.compile(r"\b((?:Bearer|Basic)\s+)(?=\S*(?:[0-9=+/]|[a-z][A-Z]))[^\s,'\"]{8,}"),
    re.compile(rf"\b(Digest\s+)\w+\s*={_REST}"),
    # user:password@ of a URI
    re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}:(?://)?[^\s:@/]{1,64}:)[^\s@/]{1,512}(?=@)", re.IGNORECASE),
    re.compile(rf"({_NAMES}[\"']?\s*[:=]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;)}}\]]+)", re.IGNORECASE),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def set_up(level: str, *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Log from `level` on, one of LEVELS, to `stream` or standard error. ConfigError for another level."""
    if level.lower() not in LEVELS:
        raise ConfigError([f"log level {level!r}: unknown; expected one of {', '.join(LEVELS)}"])
    target = sys.stderr if stream is None else stream
    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True)
                if as_json
                else structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                one_line,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # SQL statements carry what is sealed and what is not, and addresses that are posted to may hold a token.
    for name in ("sqlalchemy.engine", "alembic", "aiosqlite", "asyncpg", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(logger: object, method: str, event: EventDict) -> EventDict:
    """Masks values under secret names, and secrets inside texts (headers, SDP keys, URIs, `password=...`)."""
    for key, value in event.items():
        event[key] = MASK if _SECRET_KEY.fullmatch(key) else _masked(value)
    return event


def one_line(logger: object, method: str, event: EventDict) -> EventDict:
    """Escapes control characters, so that what a stranger sent cannot begin a line or steer a terminal.

    The lines of an exception stay lines, indented.
    """
    for key, value in event.items():
        if not isinstance(value, str):
            continue
        if key == "exception":
            event[key] = "\n".join(f"    {_escaped(line)}" for line in value.split("\n"))
        else:
            event[key] = _escaped(value)
    return event


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], text)


def _masked(value: object) -> object:
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, dict):
        return {str(key): MASK if _SECRET_KEY.fullmatch(str(key)) else _masked(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(inner) for inner in value]
    text = value if isinstance(value, str) else repr(value)
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}... ({len(text)} characters)"
    for secret in _SECRETS:
        text = secret.sub(rf"\1{MASK}", text)
    return text
