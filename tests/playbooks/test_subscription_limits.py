"""How many subscriptions a device may have, how often and for how long."""

from dataclasses import replace

from opx.gateway.signalling.subscriptions import SubscriptionPolicy
from opx.sip.bodies.message_summary import MessageSummary
from opx.sip.flow import Flow
from opx.sip.notifier import Ended, ExpiresBounds, Gone
from opx.sip.subscriber import Closed, Granted, Over
from support.watching import POLICY, Watching, ringing, summary


def test_limits_hold_per_device_and_in_total() -> None:
    policy = SubscriptionPolicy(per_device=2, limit=3)
    watching = Watching(replace(POLICY, subscriptions=policy), first=ringing(1))
    for number in ("1002", "1003", "1004"):
        watching.subscribe("dialog", number)
    assert watching.closed == [Closed(Over.REFUSED, 503, retry_after=10)]
    assert watching.site.signalling.subscriptions.per_package() == {"dialog": 2}
    other = watching.site.phone(2, port=40002)
    other.register()
    for number in ("1002", "1003"):
        watching.subscribe("dialog", number, phone=other)
    assert len(watching.site.signalling.subscriptions) == 3
    assert len(watching.closed) == 2


def test_a_phone_that_restarted_takes_the_place_of_its_subscriptions_of_before() -> None:
    policy = SubscriptionPolicy(per_device=1)
    watching = Watching(replace(POLICY, subscriptions=policy))
    first = watching.subscribe()
    first._finish()
    watching.wire.advance(60)
    watching.subscribe()
    assert watching.closed == []
    assert len(watching.site.signalling.subscriptions) == 1
    assert watching.heard == [Ended(Gone.UNSUBSCRIBED)]
    watching.notify(summary(0))
    assert not MessageSummary.parse(watching.last.body).waiting


def test_a_phone_that_subscribes_in_a_circle_is_slowed_down() -> None:
    policy = SubscriptionPolicy(per_device=6)
    watching = Watching(replace(POLICY, subscriptions=policy))
    for _ in range(10):
        watching.subscribe()
    assert [closed.status for closed in watching.closed if closed.why is Over.REFUSED] == [503] * 4
    assert len(watching.at_icp) == 6
    watching.wire.advance(10)
    watching.subscribe()
    assert len(watching.at_icp) == 7


def test_two_phones_of_one_device_have_subscriptions_of_their_own() -> None:
    watching = Watching(replace(POLICY, contacts_per_device=2))
    second = watching.site.phone(1, host="203.0.113.50", port=41000)
    second.number = 3
    second.registration.contact = second.contact
    second.number = 1
    second.register()
    watching.subscribe()
    second.number = 3
    watching.subscribe(phone=second)
    assert watching.site.signalling.subscriptions.per_package() == {"message-summary": 2}
    for notifier in watching.at_icp:
        notifier.notify(summary(0))
    watching.wire.advance(0.1)
    told = {carried.target for carried in watching.wire.log[-12:] if carried.what == "NOTIFY"}
    assert told >= {watching.phone.address, second.address}
    watching.phone.register()
    routes = [relayed.notifier.route for relayed in watching.site.signalling.subscriptions.of(1)]
    assert {route.remote for route in routes if isinstance(route, Flow)} == {watching.phone.address, second.address}


def test_expiry_keeps_its_bounds() -> None:
    policy = SubscriptionPolicy(expires=ExpiresBounds(120, 300, 600))
    watching = Watching(replace(POLICY, subscriptions=policy))
    watching.subscribe(expires=3600)
    assert watching.told[0] == Granted(600)
    watching.subscribe("dialog", "1002", expires=60)
    assert watching.told[-2] == Granted(120)
