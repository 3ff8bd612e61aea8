"""How a program's rooms bring pages to its console: a router, templates, and places in the menu."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter


@dataclass(frozen=True)
class MenuEntry:
    """A page in the menu. `place` is the way to it, such as ("Service configuration", "ICPs"); `path` its address.

    `order` sorts entries of one level, the least first; a level stands where its first entry does.
    """

    place: tuple[str, ...]
    path: str
    order: int = 100


@dataclass(frozen=True)
class Room:
    """Pages that belong together. `templates` names the packages whose `templates` folder they use.

    Whatever is served needs a signed-in user, and an administrator for anything but looking, `open_paths` apart: those
    that a read-only user may post to.

    `more` gives entries that come and go, such as one for each PBX; it is asked for every page and must not block.
    `uploads` are paths, as regular expressions, whose forms bring files, with the bytes that these may have altogether.
    """

    router: APIRouter
    menu: Sequence[MenuEntry] = ()
    open_paths: frozenset[str] = frozenset()
    more: Callable[[], Sequence[MenuEntry]] | None = None
    uploads: Mapping[str, int] = field(default_factory=dict)


@dataclass
class MenuNode:
    """A level of the menu as it is shown: a link, or a heading with what is below it."""

    label: str
    path: str = ""
    current: bool = False
    children: list["MenuNode"] = field(default_factory=list)


def menu_tree(entries: Iterable[MenuEntry], path: str) -> list[MenuNode]:
    """The menu with the entry marked that the page at `path` belongs to: the longest that it begins with."""
    ordered = sorted(entries, key=lambda entry: entry.order)
    fitting = [entry.path for entry in ordered if belongs(path, entry.path)]
    current = max(fitting, key=len, default="")
    roots: list[MenuNode] = []
    for entry in ordered:
        level = roots
        for label in entry.place[:-1]:
            node = next((node for node in level if node.label == label and not node.path), None)
            if node is None:
                node = MenuNode(label)
                level.append(node)
            level = node.children
        level.append(MenuNode(entry.place[-1], entry.path, entry.path == current))
    return roots


def belongs(path: str, page: str) -> bool:
    """Whether `path` is that page or one below it. The page "/" has none below it."""
    return path == page or (page != "/" and path.startswith(f"{page}/"))
