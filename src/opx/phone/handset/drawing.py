"""A handset's screen as a picture in text."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from opx.phone.call import PhoneCall
from opx.phone.handset.display import Display
from opx.phone.handset.handset import Handset, Power
from opx.phone.handset.keys import Key, Place
from opx.phone.handset.xml_objects import Page

WIDTH = 66
"""Columns of the picture."""
SHOWN_KEYS = 4
"""Softkeys in one row."""


def screen(handset: Handset) -> RenderableType:
    """What somebody in front of the handset sees."""
    model = handset.identity.model
    top = [key for key in handset.keys if key.place is not Place.SOFT] if handset.flash.firmware.sip else []
    body = _body(handset)
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=3)
    grid.add_column(ratio=2, justify="right")
    for row in range(max(model.rows, len(body), len(top))):
        left = body[row] if row < len(body) else ""
        right = _top_key(handset, top[row]) if row < len(top) else ""
        grid.add_row(left, right)
    parts: list[RenderableType] = [grid, _soft_keys(handset)]
    return Panel(
        Group(*parts),
        title=f"[bold]Mitel {model.name}[/] {handset.identity.mac}",
        subtitle=_footer(handset),
        box=box.ROUNDED,
        width=WIDTH,
    )


def _footer(handset: Handset) -> str:
    firmware = handset.flash.firmware
    return f"{firmware.kind} {firmware.version}"


def _body(handset: Handset) -> list[RenderableType]:
    display = handset.display
    if handset.power is Power.OFF:
        return [Text("(off)", style="dim")]
    if handset.power is Power.BOOTING:
        return [Text("Starting ...", style="bold")]
    if not handset.flash.firmware.sip:
        return [Text("Looking for a MiNET controller", style="yellow")]
    if display.error:
        return [Text("Cannot display", style="bold red"), Text(display.error, style="red")]
    if handset.calls:
        return [_call(call) for call in handset.calls]
    if display.page is not None:
        return _page(display, display.page, handset.identity.model.rows)
    return _idle(handset)


def _call(call: PhoneCall) -> RenderableType:
    if call.answered.is_set():
        return Text(f"Connected  {call.peer}", style="bold green")
    return Text(f"{'Incoming' if call.offer else 'Calling'}  {call.peer}", style="bold yellow")


def _idle(handset: Handset) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for line in handset.lines:
        style = "bold" if line.registered else "yellow"
        lines.append(Text(f"{line.settings.screen_name}", style=style))
        if not line.registered and line.registration is not None:
            lines.append(Text("No Service", style="yellow"))
        if line.lamp.new:
            lines.append(Text(f"{line.lamp.new} new messages", style="cyan"))
    if not handset.lines:
        lines.append(Text("No Service", style="yellow"))
    lines += [Text(text) for session in handset.display.messages.values() for _, text in sorted(session.items())]
    return lines


def _page(display: Display, page: Page, rows: int) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(page.title, style="bold reverse")]
    lines += [Text(line) for line in page.text.splitlines()]
    first = max(0, display.cursor - rows + 2)
    for index, item in enumerate(page.items[first : first + rows], start=first):
        lines.append(Text(f"{index + 1}. {item.prompt}", style="bold" if index == display.cursor else ""))
    for index, entry in enumerate(page.fields):
        value = display.value(entry)
        shown = "*" * len(value) if entry.password else value
        lines.append(Text(f"{entry.prompt}: {shown}_", style="bold" if index == display.cursor else ""))
    return lines


def _top_key(handset: Handset, key: Key) -> RenderableType:
    style = "bold"
    if key.type == "line":
        line = next((line for line in handset.lines if line.number == key.line), None)
        style = "bold green" if line is not None and line.registered else "dim"
    lamp = handset.lamps.get(f"{key.place.value}{key.number}", "off")
    text = Text(f"{key.name} ", style=style)
    text.append("●" if lamp != "off" else "○", style="red" if lamp != "off" else "dim")
    return text


def _soft_keys(handset: Handset) -> RenderableType:
    row = Table.grid(expand=True, padding=(0, 1))
    labels = soft_key_labels(handset)[:SHOWN_KEYS]
    for _ in range(SHOWN_KEYS):
        row.add_column(ratio=1, justify="center")
    row.add_row(*[Text(f" {label} ", style="reverse") for label in labels], *[""] * (SHOWN_KEYS - len(labels)))
    return row


def soft_key_labels(handset: Handset) -> list[str]:
    """What stands along the bottom of the screen at this moment."""
    display = handset.display
    if display.page is not None and not handset.calls:
        keys = display.page.keys or display.default_keys(display.page)
        return [key.label for key in sorted(keys, key=lambda key: key.index) if key.label]
    state = "connected" if handset.calls else "idle"
    labels = ["Log In"] if handset.asks_for_log_in and not handset.calls else []
    labels += [key.name for key in handset.keys if key.place is Place.SOFT and (not key.states or state in key.states)]
    return labels
