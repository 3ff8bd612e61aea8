"""The headers of subscriptions (RFC 6665 section 8.2)."""

import pytest

from opx.sip.errors import RemoteProtocolError
from opx.sip.message import Request
from opx.sip.subscription import EventType, State, SubscriptionState


def test_headers_of_subscriptions_are_read_and_written() -> None:
    assert str(EventType.parse("Dialog ; id=7;sla")) == "dialog;id=7;sla"
    assert EventType.parse("dialog;id=7").matches(EventType("dialog", (("id", "7"), ("x", None))))
    assert not EventType.parse("dialog;id=7").matches(EventType("dialog"))
    request = Request.new("NOTIFY", "sip:a@b")
    request.add("subscription-state", "Terminated ;reason=Probation;retry-after=30")
    assert SubscriptionState.of(request) == SubscriptionState(State.TERMINATED, None, "probation", 30)
    request.set("subscription-state", "waiting;expires=x")
    assert SubscriptionState.of(request) == SubscriptionState(State.ACTIVE)
    for text in ("", ";expires=3", "a b"):
        request.set("subscription-state", text)
        with pytest.raises(RemoteProtocolError):
            SubscriptionState.of(request)
    with pytest.raises(RemoteProtocolError) as missing:
        EventType.of(request)
    assert missing.value.status == 489
