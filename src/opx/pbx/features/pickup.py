"""Taking a call that rings elsewhere: at one extension, or anywhere in one's pickup group."""

from opx.pbx.call import PbxCall
from opx.pbx.calls import CallDesk
from opx.pbx.office import Office, Party


class Pickup:
    def __init__(self, office: Office, desk: CallDesk) -> None:
        self._office = office
        self._desk = desk

    def directed(self, taker: Party, number: str) -> PbxCall | None:
        """The call that has been ringing longest at one extension."""
        return self._desk.ringing_at((number,), taker)

    def group(self, taker: Party) -> PbxCall | None:
        """The one that has been ringing longest at another extension of the taker's pickup group."""
        group = self._office.states.of(taker.number).pickup_group
        if not group:
            return None
        members = {number for number, state in self._office.states.items() if state.pickup_group == group}
        return self._desk.ringing_at(members - {taker.number}, taker)
