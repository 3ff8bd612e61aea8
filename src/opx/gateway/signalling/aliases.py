"""Other names for the ICP's dialogs: a set may speak of one (Replaces) without learning its inside Call-ID and tags."""

import secrets
from collections import OrderedDict

from opx.sip.replaces import DialogName

ALIASES = 10_000
"""Dialogs remembered; each lamp and each transfer names one or two, and the oldest is the first to be forgotten."""


class DialogAliases:
    """Stable names both ways. A dialog that was not spoken of for longest is forgotten when there are too many."""

    def __init__(self, limit: int = ALIASES) -> None:
        self._limit = limit
        self._alias_of: OrderedDict[DialogName, DialogName] = OrderedDict()
        self._real_of: dict[DialogName, DialogName] = {}

    def __len__(self) -> int:
        return len(self._alias_of)

    def alias(self, real: DialogName) -> DialogName:
        """The name of an ICP's dialog on the set side, the same each time."""
        known = self._alias_of.get(real)
        if known is not None:
            self._alias_of.move_to_end(real)
            return known
        if len(self._alias_of) >= self._limit:
            _, forgotten = self._alias_of.popitem(last=False)
            del self._real_of[forgotten]
        alias = DialogName(secrets.token_hex(12), secrets.token_hex(6), secrets.token_hex(6))
        self._alias_of[real] = alias
        self._real_of[alias] = real
        return alias

    def real(self, alias: DialogName) -> DialogName | None:
        """The ICP's dialog behind a name of ours, None when it is none of ours or forgotten.

        Phones that pick up a call name it from either end: with the tags the other way round it is the same dialog.
        """
        real = self._real_of.get(alias)
        if real is not None:
            return real
        mirrored = self._real_of.get(_mirrored(alias))
        return _mirrored(mirrored) if mirrored is not None else None


def _mirrored(name: DialogName) -> DialogName:
    return DialogName(name.call_id, name.from_tag, name.to_tag)
