"""Action URIs: what a handset fetches when something happens, with its variables filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import quote


class Event(StrEnum):
    """What action URIs are for, as the parameter `action uri ...` names it."""

    STARTUP = "startup"
    REGISTERED = "registered"
    REGISTRATION_EVENT = "registration event"
    INCOMING = "incoming"
    OUTGOING = "outgoing"
    OFFHOOK = "offhook"
    ONHOOK = "onhook"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    XML_SIP_NOTIFY = "xml sip notify"
    POLL = "poll"


_VARIABLE = re.compile(r"\$\$([A-Z0-9_]+)\$\$")


def bound(uri: str, variables: Mapping[str, str]) -> str:
    """The URI with its `$$VARIABLES$$` filled in, each fit for a query; an unknown one becomes nothing."""
    return _VARIABLE.sub(lambda found: quote(variables.get(found[1], ""), safe=""), uri)
