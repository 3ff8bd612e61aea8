"""Who is told when, with a clock in hand."""

from opx.suite.resync.queue import BUSY_GAP, GAPS, PER_SECOND, Order, OrderQueue, Waiting


def test_many_phones_are_told_one_after_the_other() -> None:
    queue = OrderQueue()
    for number in range(100):
        queue.want(f"{number:012X}", Order.RESYNC, 1000.0)
    assert len(queue.due(1000.0)) == 1 and len(queue.due(1001.0)) == PER_SECOND + 1
    assert len(queue.due(1000.0 + 100 / PER_SECOND)) == 100
    assert queue.next_due() == 1000.0


def test_a_phone_that_waits_already_is_told_once_and_the_stronger_order_stands() -> None:
    queue = OrderQueue()
    queue.want("A", Order.RESYNC, 0.0)
    queue.want("A", Order.RESYNC, 5.0)
    assert [(item.order, item.due) for item in queue.due(10.0)] == [(Order.RESYNC, 0.05)]
    queue.want("A", Order.REBOOT, 10.0)
    queue.want("A", Order.RESYNC, 11.0)
    assert [item.order for item in queue.due(20.0)] == [Order.REBOOT]


def test_failures_are_tried_again_with_growing_gaps_and_an_end() -> None:
    queue = OrderQueue()
    queue.want("A", Order.RESYNC, 0.0)
    now, tries = 1.0, 0
    while True:
        (item,) = queue.due(now)
        if not queue.failed(item, now):
            break
        assert queue.due(now) == []
        now += GAPS[tries]
        tries += 1
    assert tries == len(GAPS) and len(queue) == 0


def test_a_call_puts_off_without_counting_and_a_newer_order_survives_the_outcome_of_an_older_one() -> None:
    queue = OrderQueue()
    queue.want("A", Order.RESYNC, 0.0)
    (item,) = queue.due(1.0)
    queue.later(item, 1.0)
    assert queue.due(1.0 + BUSY_GAP - 0.1) == []
    (item,) = queue.due(1.0 + BUSY_GAP)
    assert item == Waiting("A", Order.RESYNC, 1.0 + BUSY_GAP, 0)
    queue.want("A", Order.REBOOT, 20.0)
    queue.drop(item)
    queue.failed(item, 20.0)
    assert [(left.order, left.tries) for left in queue.due(30.0)] == [(Order.REBOOT, 0)]
    assert queue.next_due({"A"}) is None
