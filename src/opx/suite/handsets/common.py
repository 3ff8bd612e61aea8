"""Files that are not one phone's: startup.cfg, aastra.cfg, <model>.cfg, and our authority's certificate."""

from collections.abc import Callable
from pathlib import Path

from opx.suite.handsets.catalogue import MODELS
from opx.suite.handsets.files import AUTHORITY_FILE
from opx.suite.handsets.http import TEXT, Access, HandsetRequest, HandsetResponse, Routes
from opx.suite.handsets.shelf import Shelf

PEM = "application/x-pem-file"
SHARED_AGE = 60
"""Seconds for which the files of all phones hold."""


class SystemFile:
    """startup.cfg, and aastra.cfg for older firmware: the same."""

    access = Access.HANDSET

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        file = self._shelf.system(request.caller.side)
        return HandsetResponse(file.body, TEXT, etag=file.version, max_age=SHARED_AGE)


class ModelFile:
    """Of every model that can be provisioned, whichever asks."""

    access = Access.HANDSET

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        name, dot, ending = request.path.rpartition(".")
        if not dot or ending.lower() != "cfg" or name.lower() not in MODELS:
            return None
        file = self._shelf.of_model(name.lower(), request.caller.side)
        return HandsetResponse(file.body, TEXT, etag=file.version, max_age=SHARED_AGE)


class AuthorityFile:
    """The certificate that phones are to trust. `read` gives it as it is now, None when the owner has an own one."""

    access = Access.HANDSET

    def __init__(self, read: Callable[[], bytes | None]) -> None:
        self._read = read

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        body = self._read()
        return HandsetResponse(body, PEM, max_age=SHARED_AGE) if body is not None else None


def authority_reader(path: Callable[[], Path | None]) -> Callable[[], bytes | None]:
    """Reads the authority's file anew only when it was replaced."""
    held: dict[tuple[Path, int], bytes] = {}

    def read() -> bytes | None:
        file = path()
        if file is None:
            return None
        try:
            key = (file, file.stat().st_mtime_ns)
            if key not in held:
                body = file.read_bytes()
                held.clear()
                held[key] = body
            return held[key]
        except OSError:
            return None

    return read


def add_common(routes: Routes, shelf: Shelf, authority: Callable[[], bytes | None]) -> None:
    system = SystemFile(shelf)
    routes.add("startup.cfg", system)
    routes.add("aastra.cfg", system)
    routes.add(AUTHORITY_FILE, AuthorityFile(authority))
    routes.add_last(ModelFile(shelf))
