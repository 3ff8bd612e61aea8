"""What the suite gives every approved phone by itself: the addresses of its pages, and a hot desk key."""

from collections.abc import Sequence

from opx.suite.handsets.keys import Key
from opx.suite.handsets.parameters import Parameter
from opx.suite.handsets.profiles import PhoneView
from opx.suite.phone_pages.actions import ACTION
from opx.suite.phone_pages.desk import DIRECTORY_FILE, XML

POLL_SECONDS = 1800
"""Between two polls: they tell that a phone is there."""
# Each is a request of its own, over a connection of its own, of thousands of phones that start together: that a phone
# starts its files tell already, and that a call is answered changes nothing here. A profile may add those.
_ACTIONS = (
    ("registered", "registered"),
    ("registration event", "registration-event?state=$$REGISTRATIONSTATE$$&code=$$REGISTRATIONCODE$$"),
    ("incoming", "incoming?number=$$REMOTENUMBER$$"),
    ("outgoing", "outgoing?number=$$REMOTENUMBER$$"),
    ("disconnected", "disconnected?duration=$$CALLDURATION$$"),
    ("poll", "poll"),
)


class SuiteExtras:
    """Implements `profiles.library.Extras`."""

    def parameters(self, view: PhoneView) -> Sequence[Parameter]:
        """None without an address for pages: a teleworker's phone, and no Remote Client Location."""
        if not view.base:
            return ()
        pages = [
            Parameter("xml application uri", f"{view.base}{XML}home"),
            Parameter("xml application title", "Services"),
            Parameter("services script", f"{view.base}{XML}home"),
            Parameter("directory script", f"{view.base}{XML}directory"),
            Parameter("directory 1", DIRECTORY_FILE),
            Parameter("action uri poll interval", POLL_SECONDS),
            Parameter("action uri xml sip notify", f"{view.base}{ACTION}poll"),
        ]
        return [*pages, *(Parameter(f"action uri {name}", f"{view.base}{ACTION}{path}") for name, path in _ACTIONS)]

    def keys(self, view: PhoneView, hot_desking: bool) -> Sequence[Key]:
        if not view.base:
            return ()
        if view.phone.hot_desk_id is not None:
            return [Key("top", 0, "xml", f"{view.base}{XML}desk/out", "Log Out")]
        return [Key("top", 0, "xml", f"{view.base}{XML}desk", "Log In")] if hot_desking else []
