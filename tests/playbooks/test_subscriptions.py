"""Subscriptions through the gateway, as tables of what goes over the wire and as what the phone shows."""

from dataclasses import replace
from itertools import pairwise

import pytest

from opx.gateway.signalling.subscriptions import SubscriptionPolicy
from opx.sip.bodies.dialog_info import DialogInfo
from opx.sip.bodies.message_summary import MessageCount, MessageSummary
from opx.sip.digest import DigestClient
from opx.sip.notifier import Ended, Gone
from opx.sip.subscriber import Closed, Granted, Notified, Over, Subscriber
from opx.sip.subscription import Content, Reason, State, SubscriptionState
from support.sipnet import Carried
from support.site import ICP, OUTSIDE, FakeIcp
from support.watching import POLICY, Watching, ringing, summary

SUBSCRIBED = """
    phone1 -> gateway: SUBSCRIBE
    gateway -> phone1: 407
    phone1 -> gateway: SUBSCRIBE
    gateway -> icp: SUBSCRIBE
    icp -> gateway: 407
    gateway -> icp: SUBSCRIBE
    icp -> gateway: 200
    icp -> gateway: NOTIFY sdp
    gateway -> phone1: 200
    gateway -> phone1: NOTIFY sdp
    gateway -> icp: 200
    phone1 -> gateway: 200
"""


def test_messages_waiting_with_a_challenge_on_each_leg() -> None:
    watching = Watching()
    watching.subscribe()
    watching.wire.expect(SUBSCRIBED)
    counts = (MessageCount("voice-message", 2, 3),)
    assert watching.told[0] == Granted(600)
    assert MessageSummary.parse(watching.last.body) == MessageSummary(True, f"sip:tw1@{OUTSIDE}", counts)
    inside = watching.requests("SUBSCRIBE", to_icp=True)[-1]
    assert inside.uri == f"sip:1001@{ICP}"
    assert inside.from_.uri.user == "1001"
    assert (inside.get("event"), inside.get("accept")) == ("message-summary", "application/simple-message-summary")
    assert "tw1" not in inside.encode().decode()
    watching.notify(summary(0))
    watching.wire.expect("""
        icp -> gateway: NOTIFY sdp
        gateway -> phone1: NOTIFY sdp
        gateway -> icp: 200
        phone1 -> gateway: 200
    """)
    assert not MessageSummary.parse(watching.last.body).waiting


def test_unsubscribing_ends_it_on_both_sides() -> None:
    watching = Watching()
    subscriber = watching.subscribe()
    watching.wire.expect(SUBSCRIBED)
    subscriber.unsubscribe()
    watching.wire.expect("""
        phone1 -> gateway: SUBSCRIBE
        gateway -> phone1: 200
        gateway -> phone1: NOTIFY sdp
        gateway -> icp: SUBSCRIBE
        icp -> gateway: 200
        icp -> gateway: NOTIFY sdp
        phone1 -> gateway: 200
        gateway -> icp: 200
    """)
    assert watching.heard == [Ended(Gone.UNSUBSCRIBED)]
    watching.nothing_left()


def test_a_refresh_is_answered_by_the_gateway_with_the_state_and_the_icp_hears_of_it_seldom() -> None:
    watching = Watching()
    watching.subscribe(expires=600)
    before = len(watching.requests("SUBSCRIBE", to_icp=True))
    watching.wire.advance(2000, step=1.0)
    assert len(watching.contents) == 1 + 4
    assert len(watching.requests("SUBSCRIBE", to_icp=True)) == before
    watching.wire.advance(1000, step=1.0)
    assert len(watching.requests("SUBSCRIBE", to_icp=True)) == before + 1
    assert len(watching.at_icp) == 1


def test_a_state_is_fetched_once() -> None:
    watching = Watching()
    watching.subscribe(expires=0)
    assert [type(event) for event in watching.told] == [Notified, Closed]
    assert MessageSummary.parse(watching.last.body).waiting
    watching.nothing_left()


def test_a_first_body_that_cannot_be_used_still_makes_the_subscription() -> None:
    watching = Watching(first=Content("text/html", b"<b>"))
    watching.subscribe("dialog", "1002")
    assert watching.told == [Granted(600), Notified(SubscriptionState(State.ACTIVE, 600), Content())]


def test_an_icp_that_tells_no_state_at_first_leaves_it_pending() -> None:
    watching = Watching(first=None)
    watching.subscribe()
    assert watching.told == []
    watching.wire.advance(3)
    assert watching.told == [Granted(600), Notified(SubscriptionState(State.PENDING, 600), Content())]
    watching.notify(summary(1))
    assert watching.last.body


@pytest.mark.parametrize(
    ("status", "told"), [(403, 403), (404, 404), (489, 489), (503, 500), (423, 502), (302, 480), (401, 503)]
)
def test_a_refusal_of_the_icp_is_passed_on(status: int, told: int) -> None:
    watching = Watching(refuse=status)
    watching.subscribe()
    assert [(c.why, c.status) for c in watching.closed] == [(Over.REFUSED, told)]
    assert any(f"refused with {told}" in text for text in watching.site.texts())
    watching.nothing_left()


@pytest.mark.parametrize("package", ["reg", "ua-profile", "as-feature-event", "x"])
def test_a_package_that_is_not_open_is_refused_before_the_icp_hears_of_it(package: str) -> None:
    watching = Watching()
    watching.subscribe(package)
    assert watching.closed == [Closed(Over.REFUSED, 489)]
    assert watching.wire.log[-1].message.values("allow-events") == ["message-summary", "dialog", "presence"]
    assert watching.requests("SUBSCRIBE", to_icp=True) == []
    watching.nothing_left()


def test_nobody_subscribes_without_credentials_and_registration() -> None:
    watching = Watching()
    impostor = watching.site.phone(2, port=40002, password="guessed")
    watching.subscribe(phone=impostor)
    assert watching.closed == [Closed(Over.REFUSED, 407)]
    elsewhere = watching.site.phone(2, host="203.0.113.99", port=40003)
    watching.subscribe(phone=elsewhere)
    assert watching.closed[-1] == Closed(Over.REFUSED, 403)
    assert watching.requests("SUBSCRIBE", to_icp=True) == []


def test_after_a_crash_of_the_gateway_a_phone_finds_out_at_its_refresh_and_subscribes_anew() -> None:
    watching = Watching()
    subscriber = watching.subscribe()
    for relayed in watching.site.signalling.subscriptions.of(1):
        relayed.notifier.drop()
        relayed._finish("")
    subscriber.refresh()
    watching.wire.advance(0.2)
    assert watching.closed == [Closed(Over.LOST, 481)]
    watching.subscribe()
    assert MessageSummary.parse(watching.last.body).waiting


@pytest.mark.parametrize("how", ["removed", "disabled", "signs off"])
def test_subscriptions_end_with_the_device(how: str) -> None:
    watching = Watching()
    watching.subscribe()
    site = watching.site
    if how == "removed":
        site.devices = site.devices[1:]
        site.load()
    elif how == "disabled":
        site.devices[0] = replace(site.devices[0], enabled=False)
        site.load()
    else:
        watching.phone.registration.stop()
    watching.wire.advance(1)
    assert watching.heard == [Ended(Gone.UNSUBSCRIBED)]
    told = [Closed(Over.TERMINATED, reason=Reason.REJECTED)] if how != "signs off" else []
    assert watching.closed == told
    assert len(site.signalling.subscriptions) == 0


def test_notifications_follow_a_phone_to_its_new_flow() -> None:
    watching = Watching()
    watching.subscribe()
    old, new = watching.phone.address, ("203.0.113.8", 50123)
    watching.wire.attach("phone1 elsewhere", new, watching.phone.node.agent)
    del watching.wire.agents[old]
    watching.phone.node.agent.flows.address = new
    watching.phone.register()
    watching.notify(summary(7))
    assert [c.target for c in watching.wire.log if c.what == "NOTIFY"][-1] == new
    assert MessageSummary.parse(watching.last.body).counts[0].new == 7


def test_a_refresh_from_another_place_needs_the_phones_credentials() -> None:
    watching = Watching()
    subscriber = watching.subscribe()
    new = ("203.0.113.8", 50123)
    watching.wire.attach("phone1 elsewhere", new, watching.phone.node.agent)
    del watching.wire.agents[watching.phone.address]
    watching.phone.node.agent.flows.address = new
    watching.wire._told = len(watching.wire.log)
    subscriber._credentials = DigestClient("tw1", "guessed")
    subscriber.refresh()
    watching.wire.advance(0.2)
    watching.wire.expect("""
        phone1 elsewhere -> gateway: SUBSCRIBE
        gateway -> phone1 elsewhere: 407
        phone1 elsewhere -> gateway: SUBSCRIBE
        gateway -> phone1 elsewhere: 407
    """)
    subscriber._credentials = watching.phone.credentials
    subscriber.refresh()
    watching.wire.advance(0.2)
    watching.wire.expect("""
        phone1 elsewhere -> gateway: SUBSCRIBE
        gateway -> phone1 elsewhere: 200
        gateway -> phone1 elsewhere: NOTIFY sdp
        phone1 elsewhere -> gateway: 200
    """)


def test_what_comes_while_a_connection_is_gone_is_told_when_it_is_back() -> None:
    watching = Watching()
    watching.subscribe()
    site = watching.site
    flow = site.signalling.registrar.bindings.of(1)[0].flow
    site.signalling.set_connection_lost(flow)
    watching.notify(summary(5))
    watching.notify(summary(6))
    watching.wire.advance(60)
    assert len(watching.contents) == 1
    watching.phone.register()
    assert len(watching.contents) == 2
    assert MessageSummary.parse(watching.last.body).counts[0].new == 6


def test_a_phone_that_forgot_ends_the_subscription_at_the_icp() -> None:
    watching = Watching()
    watching.subscribe()._finish()
    watching.notify(summary(0))
    watching.wire.advance(1)
    assert watching.heard == [Ended(Gone.UNSUBSCRIBED)]
    assert (
        "subscription to message-summary of tw1: a notification was not accepted by the phone (481)"
        in watching.site.texts()
    )
    watching.nothing_left()


@pytest.mark.parametrize(
    ("reason", "again"),
    [(Reason.DEACTIVATED, True), (Reason.TIMEOUT, True), (Reason.NORESOURCE, False), (Reason.REJECTED, False)],
)
def test_what_the_icp_ends_is_made_again_where_that_makes_sense(reason: Reason, again: bool) -> None:
    watching = Watching()
    watching.subscribe()
    watching.first = summary(9)
    watching.at_icp[0].terminate(reason)
    watching.wire.advance(1)
    assert len(watching.at_icp) == (2 if again else 1)
    if again:
        assert watching.closed == []
        assert MessageSummary.parse(watching.last.body).counts[0].new == 9
    else:
        assert watching.closed == [Closed(Over.TERMINATED, reason=reason)]
        watching.nothing_left()


def test_an_icp_that_ends_every_subscription_at_once_is_asked_ever_more_seldom() -> None:
    watching = Watching()
    watching.subscribe()
    watching.first = None
    for _ in range(6000):
        if not watching.at_icp[-1].over:
            watching.at_icp[-1].terminate(Reason.DEACTIVATED)
        watching.wire.advance(0.1)
    assert len(watching.at_icp) <= 2 + 8
    assert watching.closed == []


def restarted_icp(watching: Watching) -> None:
    """Another one in its place that knows nothing."""
    del watching.wire.agents[watching.site.icp.address]
    watching.wire.advance(30)
    watching.site.icp = FakeIcp(watching.site)
    watching.icp_subscribes()
    watching.at_icp.clear()


def test_an_icp_that_restarted_gets_its_subscriptions_again_with_the_load_spread() -> None:
    watching = Watching(replace(POLICY, subscriptions=SubscriptionPolicy(spread=1.0)), first=ringing(1))
    for number in range(1002, 1012):
        watching.subscribe("dialog", str(number))
    restarted_icp(watching)
    watching.first = ringing(1, "confirmed")
    counts = []
    for _ in range(25):
        watching.wire.advance(1)
        counts.append(len(watching.at_icp))
    assert counts[-1] == 10
    assert max(after - before for before, after in pairwise(counts)) <= 2
    assert watching.closed == []
    states = [DialogInfo.parse(content.body).dialogs[0].state for content in watching.contents[-10:]]
    assert states == ["confirmed"] * 10


def test_an_icp_that_is_down_is_not_asked() -> None:
    watching = Watching()
    del watching.wire.agents[watching.site.icp.address]
    watching.wire.advance(30)
    watching.subscribe()
    assert watching.closed == [Closed(Over.REFUSED, 503, retry_after=30)]


def test_an_icp_that_does_not_answer_in_time() -> None:
    watching = Watching()
    watching.wire.lose = lambda carried: carried.what == "SUBSCRIBE" and carried.target[0] == ICP
    watching.subscribe()
    watching.wire.advance(21)
    assert watching.closed == [Closed(Over.REFUSED, 504)]
    watching.wire.lose = lambda carried: False
    watching.nothing_left()


def test_a_gateway_that_stops_tells_the_phones_to_come_again_later() -> None:
    watching = Watching()
    watching.subscribe()
    watching.site.signalling.stop()
    watching.wire.advance(1)
    closed = watching.closed[0]
    assert (closed.why, closed.reason) == (Over.TERMINATED, Reason.PROBATION)
    assert 10 <= (closed.again_after or 0) <= 40
    assert watching.heard == [Ended(Gone.UNSUBSCRIBED)]


def test_a_phone_that_takes_no_such_bodies_is_told_so() -> None:
    watching = Watching()
    subscriber = watching.subscribe("dialog", "1002")
    assert not subscriber.over
    refused = Subscriber(
        watching.phone.node.agent,
        watching.told.append,
        subscriber.route,
        uri=f"sip:1003@{OUTSIDE}",
        from_=f"<sip:tw1@{OUTSIDE}>",
        to=f"<sip:1003@{OUTSIDE}>",
        contact=watching.phone.contact,
        event=subscriber.event,
        accept=("text/plain",),
        credentials=watching.phone.credentials,
    )
    refused.start()
    watching.wire.advance(1)
    assert watching.closed == [Closed(Over.REFUSED, 406)]


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("lost", range(18))
def test_any_one_lost_datagram_is_made_good(lost: int, double: bool) -> None:
    watching = Watching()
    wire = watching.wire
    wire.double = double
    before = len(wire.log)

    def lose(carried: Carried) -> bool:
        return len(wire.log) > before + lost and carried is wire.log[before + lost]

    wire.lose = lose
    subscriber = watching.subscribe()
    wire.advance(10)
    watching.notify(summary(0))
    wire.advance(10)
    assert not MessageSummary.parse(watching.last.body).waiting
    subscriber.unsubscribe()
    wire.advance(10)
    assert watching.heard == [Ended(Gone.UNSUBSCRIBED)]
    assert watching.closed == []
    watching.nothing_left()


def test_a_registration_that_is_refreshed_changes_nothing() -> None:
    watching = Watching()
    watching.subscribe()
    watching.phone.register()
    watching.wire.advance(1)
    assert len(watching.contents) == 1
