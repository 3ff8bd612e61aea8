"""What is over is gone at once: nothing of a call waits for the collector's walk, which stops a server for a second."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from opx.sip.replaces import ReferTo
from support.site import Phone, Site, description

OFFICE = ("10.9.8.101", 6100)


def answered(site: Site, phone: Phone) -> None:
    session = phone.call("1002")
    site.icp.sessions[-1].accept(description(*OFFICE))
    site.wire.deliver()
    session.hang_up()


def from_the_office(site: Site, phone: Phone) -> None:
    session = site.icp.call("1001")
    phone.sessions[-1].accept(description("192.168.1.7", 40000))
    site.wire.deliver()
    session.hang_up()


def refused(site: Site, phone: Phone) -> None:
    phone.call("1002")
    site.icp.sessions[-1].reject(486)


def cancelled(site: Site, phone: Phone) -> None:
    phone.call("1002").hang_up()


def reliably_answered_and_held(site: Site, phone: Phone) -> None:
    session = phone.call("1002")
    office = site.icp.sessions[-1]
    office.progress(183, description(*OFFICE), reliable=True)
    site.wire.deliver()
    office.accept(description(*OFFICE))
    site.wire.deliver()
    session.offer(description("192.168.1.7", 41000, version=2))
    site.wire.deliver()
    if office.offered:
        office.answer_offer(description(*OFFICE, version=2))
    site.wire.deliver()
    office.hang_up()


def transferred(site: Site, phone: Phone) -> None:
    session = phone.call("1002")
    office = site.icp.sessions[-1]
    office.accept(description(*OFFICE))
    site.wire.deliver()
    session.refer(ReferTo.parse("sip:1003@x"), lambda status: None)
    site.wire.deliver()
    site.icp.sessions[-1].accept(description("10.9.8.103", 6300))
    site.wire.deliver()
    office.answer_offer(description(*OFFICE, version=2))
    site.wire.deliver()
    office.hang_up()


def without_an_icp(site: Site, phone: Phone) -> None:
    site.wire.lose = lambda carried: carried.target == site.icp.address
    phone.call("1002")
    site.wire.advance(40)
    site.wire.lose = lambda carried: False


@pytest.fixture
def collected() -> Iterator[Callable[[], Counter[str]]]:
    """Counts, by class, what of ours only the collector could free. It does not run by itself meanwhile."""
    gc.collect()
    gc.disable()

    def look() -> Counter[str]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = Counter(type(item).__qualname__ for item in gc.garbage if type(item).__module__.startswith("opx."))
        gc.garbage.clear()
        gc.collect()
        return found

    yield look
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.parametrize(
    "flow",
    [
        answered,
        from_the_office,
        refused,
        cancelled,
        reliably_answered_and_held,
        transferred,
        without_an_icp,
    ],
    ids=lambda flow: flow.__name__,
)
def test_a_call_that_is_over_leaves_nothing_to_the_collector(
    flow: Callable[[Site, Phone], None], collected: Callable[[], Counter[str]]
) -> None:
    site = Site()
    site.icp.node.serve("INFO")
    phone = site.phone(1)
    phone.node.serve("INFO, REFER, NOTIFY")
    phone.register()
    for _ in range(2):
        # The first time also finds what other tests have left.
        flow(site, phone)
        for records in (phone.sessions, phone.events, site.icp.sessions, site.icp.events):
            records.clear()
        site.wire.advance(240, step=1)
        for log in (site.wire.log, phone.node.requests, site.icp.node.requests):
            log.clear()
        found = collected()
    assert len(site.signalling.calls) == 0
    assert found == Counter()
