"""The directories that a handset loads: one `name, number` in a line."""

from __future__ import annotations

from collections.abc import Mapping

from opx.phone.handset.xml_objects import Item, Page

MAX_ENTRIES = 5000
"""What a handset keeps."""


def entries(text: str) -> list[tuple[str, str]]:
    """Name and number of each line that has both."""
    found = []
    for line in text.splitlines():
        name, _, number = line.partition(",")
        name, number = name.strip().strip('"'), number.split(",")[0].strip().strip('"')
        if name and number and not name.startswith("#"):
            found.append((name, number))
    return found[:MAX_ENTRIES]


def directory_page(files: Mapping[str, str]) -> Page:
    """All that was loaded, to dial from."""
    items = [
        Item(f"{name}  {number}", dial=number)
        for parameter in ("directory 1", "directory 2")
        for name, number in entries(files.get(parameter, ""))
    ]
    return Page("Directory", "Directory", "" if items else "(empty)", tuple(items))
