"""A ladder as a picture: SVG that needs no script, takes the colours of its page and can be read on a phone."""

from html import escape

from opx.gateway.faults.ladder import Ladder, Party, Step

COLUMN = 128
"""Units between two lifelines; three of them fill a phone's screen at a readable size."""
LEFT = 44
"""Room for the times."""
ROW = 34
TOP = 58
MAX_ROWS = 300
"""Arrows of one picture; the messages of a longer call stand below it as text."""


def svg(ladder: Ladder, *, standalone: bool = False, links: str = "") -> str:
    """The picture. `standalone` gives it a background and its namespace, for a file. `links` is put before a step's
    number to make each arrow lead there, such as "#m"."""
    width = LEFT + COLUMN * len(ladder.parties)
    steps = ladder.steps[:MAX_ROWS]
    height = TOP + ROW * len(steps) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" class="ladder" '
        f'role="img" aria-label="SIP messages of the call, {len(ladder.steps)} in all" '
        'font-family="system-ui, sans-serif" font-size="13" fill="currentColor" stroke="none">'
    ]
    if standalone:
        parts.append(f'<rect width="{width}" height="{height}" fill="#ffffff"/><g color="#1a1a1a" fill="#1a1a1a">')
    parts += [_lifeline(party, index, height) for index, party in enumerate(ladder.parties)]
    parts += [_arrow(step, number, links, standalone) for number, step in enumerate(steps, 1)]
    if len(steps) < len(ladder.steps):
        more = len(ladder.steps) - len(steps)
        parts.append(f'<text x="{_x(0)}" y="{height - 8}">and {more} more</text>')
    parts.append("</g></svg>" if standalone else "</svg>")
    return "".join(parts)


def _x(index: int) -> float:
    return LEFT + COLUMN * (index + 0.5)


def _lifeline(party: Party, index: int, height: int) -> str:
    x = _x(index)
    return (
        f'<text x="{x}" y="20" text-anchor="middle" font-weight="600">{_text(party.label)}</text>'
        f'<text x="{x}" y="37" text-anchor="middle" font-size="10" opacity="0.75">{_text(party.address)}</text>'
        f'<line x1="{x}" y1="{TOP - 14}" x2="{x}" y2="{height - 16}" stroke="currentColor" opacity="0.35"/>'
    )


def _arrow(step: Step, number: int, links: str, coloured: bool) -> str:
    y = TOP + ROW * number - 8
    start, end = _x(step.source), _x(step.target)
    ahead = 1 if end > start else -1
    tip = end - ahead
    colour = ' class="fail"' if step.failure else ""
    if coloured and step.failure:
        colour = ' color="#b3261e" fill="#b3261e"'
    dashes = ' stroke-dasharray="5 4"' if step.repeated else ""
    label = step.title + (" (again)" if step.repeated else "")
    left = min(start, end) + 6
    arrow = (
        f"<g{colour}><title>{_text(f'{label}, {step.method}, {step.message.transport}')}</title>"
        f'<text x="2" y="{y - 4}" font-size="10" opacity="0.7">{step.after:.3f}</text>'
        f'<text x="{left}" y="{y - 5}">{_text(_cut(label, abs(end - start)))}</text>'
        f'<line x1="{start}" y1="{y}" x2="{tip}" y2="{y}" stroke="currentColor"{dashes}/>'
        f'<path d="M{tip} {y} l{-8 * ahead} -4 v8 z"/></g>'
    )
    return f'<a href="{escape(links, quote=True)}{number}">{arrow}</a>' if links else arrow


def _cut(label: str, room: float) -> str:
    """What fits between two lifelines."""
    most = int((room - 8) / 7.5)
    return label if len(label) <= most else label[: most - 1] + "…"


def _text(text: str) -> str:
    """For XML, which knows no control characters."""
    return escape("".join(char if char.isprintable() else "\ufffd" for char in text), quote=True)
