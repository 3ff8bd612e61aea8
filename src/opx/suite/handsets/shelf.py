"""The files as they are delivered: rendered once for each content, kept until it changes."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opx.suite.handsets import files
from opx.suite.handsets.book import Book
from opx.suite.handsets.catalogue import model_of
from opx.suite.handsets.files import Place
from opx.suite.handsets.lines import missing
from opx.suite.handsets.parameters import Parameter, ParameterError, render
from opx.suite.handsets.profiles import PhoneView, Profiles, ProfileSource
from opx.suite.handsets.provision import Provision
from opx.suite.handsets.records import PhoneRecord, Side

MAX_SHARED = 500
"""Files kept that do not belong to one phone; there are as many as models and sides, and strangers name models."""


@dataclass(frozen=True, slots=True)
class File:
    """`version` is of the content, and the ETag. `lacks`: why it does not make the phone what it is to be, or ""."""

    body: bytes
    version: str
    lacks: str = ""


class Shelf:
    """`address` is the suite's own in the LAN, `port` that of HTTPS. `authority`: the certificate is our own one's."""

    def __init__(
        self,
        book: Book,
        provision: Provision,
        profiles: ProfileSource,
        address: str,
        port: int,
        *,
        authority: bool = True,
    ) -> None:
        self._book = book
        self._provision = provision
        self._profiles = profiles
        self._address = address
        self._port = port
        self._authority = authority
        self._shared: dict[tuple[str, str, Side], File] = {}
        self._own: dict[str, tuple[str, Side, File]] = {}
        book.on_change.append(self.forget)

    def forget(self, macs: frozenset[str] | None) -> None:
        """Of these phones, or of all, the files may differ now."""
        if macs is None:
            self._shared.clear()
            self._own.clear()
            return
        for mac in macs:
            self._own.pop(mac, None)

    def place(self, side: Side) -> Place:
        """How phones of a side reach the suite. Without a Local Client Location its address serves; outside nothing."""
        locations = self._book.locations
        host = locations.remote if side is Side.TELEWORKER else locations.local or self._address
        return Place(side, host, self._port, authority=self._authority)

    def system(self, side: Side) -> File:
        def made() -> Sequence[Parameter]:
            return files.system(self.place(side), self._provision, self._address)

        return self._kept(("system", "", side), "for all handsets", made)

    def of_model(self, model: str, side: Side) -> File:
        return self._kept(
            ("model", model, side),
            f"for all handsets {model}",
            lambda: files.of_model(model_of(model), self.place(side)),
        )

    def stranger(self, model: str, side: Side) -> File:
        return self._kept(
            ("stranger", model, side),
            "for a handset that is not known yet",
            lambda: files.stranger(model_of(model), self.place(side), self._provision),
        )

    def own(self, phone: PhoneRecord, model: str, side: Side) -> File:
        """Of an approved phone."""
        kept = self._own.get(phone.mac)
        if kept is None or kept[:2] != (model, side):
            kept = self._own[phone.mac] = (model, side, self._made(phone, model, side))
        return kept[2]

    def _made(self, phone: PhoneRecord, model: str, side: Side) -> File:
        assigned = self._book.assigned(phone)
        place = self.place(side)
        lacks = "no extension is assigned to it"
        if assigned is not None:
            lacks = missing(assigned.extension, assigned.node, side)
        if not place.host:
            lacks = lacks or "the Remote Client Location is not set, so that it is given no addresses of pages"
        view = PhoneView(phone, assigned.extension if assigned else None, model, side, place.base)
        profiles = self._profiles.profiles(view)
        comment = f"for the handset {phone.mac}"
        try:
            parameters = files.own(phone, assigned, model_of(model), place, self._provision, profiles)
            body = render(comment, parameters)
        except ParameterError as error:
            # Without what cannot be written the phone still is bound, and can be helped from here.
            lacks = str(error)
            body = render(comment, files.own(phone, None, model_of(model), place, self._provision, Profiles()))
        return _file(body, lacks)

    def _kept(self, key: tuple[str, str, Side], comment: str, made: Callable[[], Sequence[Parameter]]) -> File:
        kept = self._shared.get(key)
        if kept is None:
            if len(self._shared) >= MAX_SHARED:
                self._shared.clear()
            kept = self._shared[key] = _file(render(comment, made()))
        return kept


def _file(body: bytes, lacks: str = "") -> File:
    return File(body, hashlib.blake2b(body, digest_size=12).hexdigest(), lacks)
