"""Subscriptions in bad weather: many datagrams lost and doubled, and in the end nobody believes anything wrong."""

import random

import pytest

from opx.sip.bodies.message_summary import MessageSummary
from opx.sip.subscriber import Closed
from support.watching import Watching, summary


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_lost_a_phone_that_still_subscribes_knows_the_state_in_the_end(seed: int) -> None:
    weather = random.Random(seed)
    watching = Watching()
    wire = watching.wire
    # A phone subscribes anew when it learns that its subscription is gone, as phones do.
    subscriber = watching.subscribe()
    wire.lose = lambda carried: weather.random() < 0.3
    wire.double = seed % 2 == 1
    for number in range(40):
        wire.advance(weather.uniform(5, 60), step=1.0)
        if subscriber.over:
            subscriber = watching.subscribe()
        if not watching.at_icp[-1].over:
            watching.at_icp[-1].notify(summary(number + 1))
    wire.lose = lambda carried: False
    wire.advance(700, step=1.0)
    if subscriber.over:
        subscriber = watching.subscribe()
    watching.first = summary(99)
    if watching.at_icp[-1].over:
        subscriber = watching.subscribe()
    else:
        watching.at_icp[-1].notify(summary(99))
    wire.advance(700, step=1.0)
    assert not isinstance(watching.told[-1], Closed)
    assert MessageSummary.parse(watching.last.body).counts[0].new == 99
    assert len(watching.site.signalling.subscriptions) == 1
    assert sum(not notifier.over for notifier in watching.at_icp) == 1
    subscriber.unsubscribe()
    watching.nothing_left()
