"""Call records as CSV that a spreadsheet opens without taking anything in it for a formula."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from opx.gateway.control.protocol import StreamFigures
from opx.gateway.faults.records import CallRecord

MEDIA_TYPE = "text/csv; charset=utf-8"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""A cell that begins so may be carried out by a spreadsheet; what a stranger sent as his name may begin so."""
FIGURES = ("packets", "lost", "jitter", "told_lost", "told_jitter")

HEADINGS = (
    *("Call", "Device", "ICP", "Direction", "Caller", "Called party", "Started (UTC)", "Rang (UTC)", "Answered (UTC)"),
    *("Ended (UTC)", "Seconds talked", "Outcome", "Ended by", "SIP status", "Reason", "Phone at", "Phone", "ICP node"),
    *("Codec", "From phone: packets", "From phone: lost", "From phone: jitter ms"),
    *("Phone reports: lost", "Phone reports: jitter ms", "From ICP: packets", "From ICP: lost", "From ICP: jitter ms"),
    *("ICP reports: lost", "ICP reports: jitter ms"),
)


def lines(records: Iterable[CallRecord]) -> Iterator[str]:
    """The file's lines, the headings first."""
    yield _line(HEADINGS)
    for record in records:
        yield line(record)


def line(record: CallRecord) -> str:
    """One record's line."""
    return _line(_cells(record))


def _cells(record: CallRecord) -> list[object]:
    media = record.media
    return [
        *(record.call_id, record.device, record.icp, record.direction, record.caller, record.callee),
        *map(_when, (record.started_at, record.rang_at, record.answered_at, record.ended_at)),
        round(record.talked, 1),
        *(record.outcome, record.ended_by, record.status or "", record.reason, record.phone, record.user_agent),
        *(record.node, record.codec),
        *_figures(media.set_side if media is not None else None),
        *_figures(media.icp_side if media is not None else None),
    ]


def _figures(stream: StreamFigures | None) -> list[object]:
    if stream is None:
        return [""] * len(FIGURES)
    found = (getattr(stream, name) for name in FIGURES)
    return ["" if value is None else value for value in found]


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return out.getvalue()


def _harmless(text: str) -> str:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return f"'{plain}" if text.startswith(_FORMULA) or plain.lstrip().startswith(_FORMULA) else plain
