"""One call has a dialog on each side; what replaces one must name the other (RFC 3891)."""

from collections.abc import Callable, Iterable

from opx.gateway.media.interface import Side
from opx.gateway.signalling.aliases import DialogAliases
from opx.gateway.signalling.call import Call
from opx.sip.replaces import DialogName
from opx.sip.session import Session


class DialogNames:
    """Finds calls by the dialogs of either side. `calls_of` gives the calls of a device."""

    def __init__(self, aliases: DialogAliases, calls_of: Callable[[int], Iterable[Call]]) -> None:
        self._aliases = aliases
        self._calls_of = calls_of

    def call(self, side: Side, name: DialogName, device_id: int) -> Call | None:
        """The call of a device whose leg on `side` has that dialog, named by the far end of it."""
        for call in self._calls_of(device_id):
            leg = call.leg(side)
            if leg is not None and leg.dialog is not None and leg.dialog.id == tuple(name):
                return call
        return None

    def toward_icp(self, name: DialogName, device_id: int) -> DialogName | None:
        """A dialog as a set speaks of it, as the ICP knows it; None: no such dialog.

        It is one that we gave another name, or the set's own call, whose dialog at the ICP is meant.
        """
        real = self._aliases.real(name)
        if real is not None:
            return real
        call = self.call(Side.SET, name, device_id)
        return far_name(call.icp_leg) if call is not None else None

    def toward_set(self, name: DialogName) -> DialogName:
        """A dialog of the ICP as a set may speak of it later."""
        return self._aliases.alias(name)


def far_name(leg: Session | None) -> DialogName | None:
    """A leg's dialog as the far end of it would be asked to replace it; None before there is one."""
    dialog = leg.dialog if leg is not None else None
    if dialog is None or not dialog.remote_tag:
        return None
    return DialogName(dialog.call_id, dialog.remote_tag, dialog.local_tag)
