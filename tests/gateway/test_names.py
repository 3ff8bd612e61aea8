"""How long answers of DNS hold, and what holds while it is away."""

import asyncio
from collections import deque

import pytest

from opx.gateway.names import KnownName, NameKeeper, NamePolicy
from opx.gateway.repository import NodeAddress
from opx.gateway.resolver import Located, LookupFailed
from opx.sip.locating import Candidate, from_addresses

PBX, BRANCH = NodeAddress("pbx.example"), NodeAddress("branch.example", 5060)
ONE, TWO = from_addresses("UDP", 5060, ["10.0.0.21"]), from_addresses("UDP", 5060, ["10.0.0.22"])
POLICY = NamePolicy(min_ttl=30.0, max_ttl=600.0, retry=10.0, keep=1000.0)


@pytest.mark.parametrize(("ttl", "used"), [(0, 30), (29, 30), (120, 120), (86400, 600)])
def test_an_answer_holds_for_its_ttl_within_bounds(ttl: float, used: float) -> None:
    assert KnownName(POLICY).found(Located(ONE, ttl), 0.0) == used


def test_the_last_good_answer_holds_while_dns_is_away_but_not_for_ever() -> None:
    known = KnownName(POLICY)
    known.found(Located(ONE, 100), 0.0)
    for now in (100.0, 500.0, 1099.0):
        assert known.failed(now) == 10.0
        assert known.candidates == ONE
    known.failed(1100.0)
    assert known.candidates == ()


def test_an_answer_that_there_is_no_server_is_an_answer() -> None:
    known = KnownName(POLICY)
    known.found(Located(ONE, 100), 0.0)
    assert known.found(Located((), 3600), 100.0) == 30.0
    assert known.candidates == ()


class FakeDns:
    """Gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: Located | Exception) -> None:
        self.answers = deque(answers)
        self.asked: list[NodeAddress] = []

    async def locate(self, address: NodeAddress) -> Located:
        self.asked.append(address)
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Keeping:
    """A keeper whose pauses last until the test says."""

    def __init__(self, dns: FakeDns) -> None:
        self.told: list[tuple[NodeAddress, tuple[Candidate, ...]]] = []
        self.failures: list[str] = []
        self.pauses: list[float] = []
        self.go_on = asyncio.Semaphore(0)
        self.keeper = NameKeeper(
            dns,
            POLICY,
            on_located=lambda address, candidates: self.told.append((address, candidates)),
            on_failed=lambda address, why: self.failures.append(why),
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self.go_on.acquire()

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            pauses = len(self.pauses)
            while len(self.pauses) == pauses:
                await asyncio.sleep(0)
            self.go_on.release()


async def test_a_name_is_looked_up_again_and_again_and_a_failure_changes_nothing() -> None:
    dns = FakeDns(Located(ONE, 120), LookupFailed("no name server answers"), Located(TWO, 60))
    keeping = Keeping(dns)
    keeping.keeper.watch([PBX])
    await keeping.rounds(3)
    await keeping.keeper.stop()
    assert keeping.told[:3] == [(PBX, ONE), (PBX, ONE), (PBX, TWO)]
    assert keeping.pauses[:3] == [120, 10, 60]
    assert keeping.failures == ["no name server answers"]


async def test_a_resolver_that_breaks_does_not_end_the_watch() -> None:
    keeping = Keeping(FakeDns(ZeroDivisionError(), Located(ONE, 60)))
    keeping.keeper.watch([PBX])
    await keeping.rounds(2)
    await keeping.keeper.stop()
    assert keeping.told[1] == (PBX, ONE)


async def test_names_that_are_not_wanted_any_more_are_not_asked_for() -> None:
    dns = FakeDns(Located(ONE, 60))
    keeping = Keeping(dns)
    keeping.keeper.watch([PBX, BRANCH])
    while len(keeping.pauses) < 2:
        await asyncio.sleep(0)
    keeping.keeper.watch([BRANCH])
    assert keeping.told[-1] == (BRANCH, ONE), "what is known is told again at once"
    dns.asked.clear()
    keeping.go_on.release()
    await keeping.rounds(1)
    await keeping.keeper.stop()
    assert set(dns.asked) == {BRANCH}


async def test_nothing_runs_on_when_it_is_stopped() -> None:
    keeping = Keeping(FakeDns(Located(ONE, 60)))
    before = asyncio.all_tasks()
    keeping.keeper.watch([PBX, BRANCH])
    await keeping.keeper.stop()
    assert asyncio.all_tasks() == before
