"""Message lamps: by subscription and without one, on the wire in memory."""

import pytest

from opx.sip.bodies.message_summary import MessageCount, MessageSummary
from opx.sip.subscriber import Closed, Granted, Notified, Over, SubscriberEvent
from support.office import PBX, Office


def summaries(heard: list[SubscriberEvent]) -> list[MessageSummary]:
    return [MessageSummary.parse(event.content.body) for event in heard if isinstance(event, Notified)]


def summary(number: str, new: int, old: int = 0) -> MessageSummary:
    counts = (MessageCount("voice-message", new, old, (0, 0)),)
    return MessageSummary(new > 0, f"sip:{number}@{PBX[0]}:5060", counts)


def test_a_subscriber_is_told_the_state_and_every_change() -> None:
    office = Office()
    heard = office.one.watch("message-summary", "1001")
    office.wire.deliver()
    office.set("1001", new_messages=2, old_messages=1)
    office.wire.deliver()
    office.dial(office.one, "*95")
    assert summaries(heard) == [summary("1001", 0), summary("1001", 2, 1), summary("1001", 0)]
    assert office.one.notices == []


def test_a_phone_that_never_subscribed_is_told_unasked() -> None:
    office = Office()
    office.dial(office.two, "*941001")
    (notice,) = office.one.notices
    assert notice.get("event") == "message-summary"
    assert notice.get("content-type") == "application/simple-message-summary"
    assert MessageSummary.parse(notice.body) == summary("1001", 1)


def test_a_phone_that_comes_back_is_told_again_and_one_without_messages_is_not() -> None:
    office = Office()
    office.set("1003", new_messages=1)
    third = office.desk("1003")
    office.wire.advance(0.2)
    assert [MessageSummary.parse(notice.body) for notice in third.notices] == [summary("1003", 1)]
    assert office.one.notices == []


def test_a_phone_shows_the_messages_of_who_is_logged_in_there() -> None:
    office = Office()
    office.set("1001", new_messages=1)
    office.set("1500", new_messages=5)
    heard = office.one.watch("message-summary", "1001")
    office.dial(office.one, "*111500*2468")
    office.set("1500", new_messages=6)
    office.dial(office.one, "*12")
    assert summaries(heard) == [
        summary("1001", 1),
        summary("1500", 5),
        summary("1500", 6),
        summary("1001", 1),
    ]


def test_messages_are_for_their_owner() -> None:
    office = Office()
    heard = office.two.watch("message-summary", "1001")
    office.wire.deliver()
    assert heard == [Closed(Over.REFUSED, 403)]


@pytest.mark.parametrize(
    ("event", "number", "accept", "status"),
    [
        ("presence", "1001", (), 489),
        ("message-summary", "9999", (), 404),
        ("message-summary", "1001", ("text/plain",), 406),
    ],
)
def test_what_cannot_be_watched_says_why(event: str, number: str, accept: tuple[str, ...], status: int) -> None:
    office = Office()
    heard = office.one.watch(event, number, accept=accept)
    office.wire.deliver()
    assert heard == [Closed(Over.REFUSED, status)]
    assert len(office.node.subscriptions) == 0


def test_a_stranger_watches_nothing() -> None:
    office = Office()
    stranger = office.desk("1003", registered=False)
    stranger.credentials = office.one.credentials
    heard = stranger.watch("message-summary", "1003")
    office.wire.deliver()
    assert heard == [Closed(Over.REFUSED, 403)]


def test_a_subscription_is_refreshed_with_credentials_and_ends_when_asked() -> None:
    office = Office()
    heard = office.one.watch("message-summary", "1001", expires=600)
    office.wire.advance(500)
    assert [event for event in heard if isinstance(event, Granted)] == [Granted(600), Granted(600)]
    office.one.subscribers[0].unsubscribe()
    office.wire.advance(1)
    assert len(office.node.subscriptions) == 0
    office.set("1001", new_messages=1)
    office.wire.deliver()
    assert len(office.one.notices) == 1


def test_nobody_else_refreshes_or_ends_a_subscription() -> None:
    office = Office()
    office.one.watch("message-summary", "1001")
    office.wire.deliver()
    office.one.subscribers[0]._credentials = office.two.credentials
    office.one.subscribers[0].unsubscribe()
    office.wire.advance(1)
    assert office.wire.log[-1].what == "403"
    assert len(office.node.subscriptions) == 1


def test_one_who_lost_its_subscription_is_told_unasked_the_next_time() -> None:
    office = Office()
    office.one.watch("message-summary", "1001")
    office.wire.deliver()
    office.one.subscribers[0]._finish()
    office.set("1001", new_messages=1)
    office.wire.deliver()
    office.set("1001", new_messages=2)
    office.wire.deliver()
    assert len(office.node.subscriptions) == 0
    assert [MessageSummary.parse(notice.body) for notice in office.one.notices] == [summary("1001", 2)]


def test_an_extension_has_no_more_subscriptions_than_it_may() -> None:
    office = Office()
    office.node.subscriptions._limit = 2
    heard = [office.one.watch("dialog", number) for number in ("1002", "1003", "1004")]
    office.wire.deliver()
    assert heard[2] == [Closed(Over.REFUSED, 503)]
    office.one.subscribers[0].unsubscribe()
    office.wire.advance(1)
    again = office.one.watch("dialog", "1004")
    office.wire.deliver()
    assert isinstance(again[0], Granted | Notified)


def test_a_removed_extension_is_watched_no_more() -> None:
    office = Office()
    office.one.watch("dialog", "1002")
    office.wire.deliver()
    office.node.remove("1002")
    assert len(office.node.subscriptions) == 0
