"""Busy lamps (RFC 4235): what an extension's calls are doing, told in full each time."""

from collections.abc import Callable, Iterable

from opx.pbx.call import PbxCall
from opx.pbx.features.subscriptions import Package
from opx.pbx.office import Office
from opx.sip.bodies.dialog_info import CONTENT_TYPE, DialogInfo, Participant, WatchedDialog
from opx.sip.bridge import End
from opx.sip.subscription import Content

EVENT = "dialog"


class Lamps:
    """`calls` gives the calls that are alive. A call that has just ended is told of once, as terminated.

    `tell` tells those who watch an extension.

    The names of dialogs are those of `PbxCall.name`: they are good for Replaces at this node, and for nothing else.
    """

    def __init__(self, office: Office, calls: Callable[[], Iterable[PbxCall]], tell: Callable[[str], bool]) -> None:
        self._office = office
        self._tell = tell
        self._calls = calls
        self._ended: PbxCall | None = None
        self._shown: dict[PbxCall, set[str]] = {}
        self.package = Package(EVENT, CONTENT_TYPE, lambda watcher, watched: True, self._content)

    def on_call(self, call: PbxCall) -> None:
        """A call began to ring, changed its ends, was answered or ended."""
        now = set() if call.bridge.over else {call.number(end) for end in End}
        before = self._shown.pop(call, set())
        if now:
            self._shown[call] = now
        self._ended = call if call.bridge.over else None
        for number in sorted(before | now):
            self._tell(number)
        self._ended = None

    def _content(self, number: str, document: int) -> Content:
        calls = [*self._calls(), *([self._ended] if self._ended is not None else [])]
        dialogs = [
            self._dialog(call, end)
            for call in sorted(set(calls), key=lambda call: call.serial)
            for end in End
            if number == call.number(end)
        ]
        info = DialogInfo(str(self._office.uri_of(number)), document, True, tuple(dialogs))
        return Content(CONTENT_TYPE, info.encode())

    def _dialog(self, call: PbxCall, end: End) -> WatchedDialog:
        if call.bridge.over:
            state = "terminated"
        else:
            state = "confirmed" if call.bridge.answered else "early"
        local, remote = self._participant(call.number(end)), self._participant(call.number(end.other))
        direction = "initiator" if end is End.CALLER else "recipient"
        name = call.name(end)
        return WatchedDialog(name.call_id, state, name, direction, local=local, remote=remote)

    def _participant(self, number: str) -> Participant:
        uri = str(self._office.uri_of(number))
        return Participant(uri, self._office.name_of(number), uri)
