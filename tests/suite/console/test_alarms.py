"""Diagnosis > Alarms."""

import time
from pathlib import Path

from opx.kept.bulletin import Member
from opx.suite.alarms import KEPT, KINDS, AlarmDesk, AlarmRepository
from support.console import signed_in
from support.suite_console import open_suite_console


async def test_alarms_that_stand_are_listed_first_with_their_cause(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get("/alarms")
        assert "There was no alarm yet." in visitor.text
        repository = AlarmRepository(suite.sites.engine)
        desk = AlarmDesk(repository, Member(tmp_path / "none.sock"), KINDS, settle=0.0)
        desk.event("phones-unknown", "192.0.2.66", "20 phones that nobody knows asked")
        await desk.flush()
        desk.board.raise_("phone-guessed", "14:00:E9:12:34:56", "a wrong digest <b>was</b> sent for it")
        await desk.flush()
        await visitor.get("/alarms")
        stands = "stands Somebody else may be asking for a phone's configuration: 14:00:E9:12:34:56"
        cleared = "cleared Many unknown phones ask from one source: 192.0.2.66"
        assert stands in visitor.text and cleared in visitor.text
        assert visitor.text.index(stands) < visitor.text.index(cleared)
        assert "<b>was</b>" not in visitor.html
        for index in range(4):
            desk.board.raise_("phone-moved", str(index), "asks from another place")
        await desk.flush()
        await visitor.get("/")
        assert "A phone asks from another place than before" in visitor.text
        assert "2 further alarms stand." in visitor.text


async def test_what_stood_when_the_process_ended_is_cleared_in_its_time(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        repository, bulletin = AlarmRepository(suite.sites.engine), Member(tmp_path / "none.sock")
        first = AlarmDesk(repository, bulletin, ["phone-moved"], settle=3600.0)
        await first.start()
        first.event("phone-moved", "a", "it moved")
        first.event("phone-moved", "a", "it moved again")
        await first.stop()
        others = AlarmDesk(repository, bulletin, ["phones-unknown"], settle=0.0)
        await others.start()
        await others.stop()
        assert [alarm.cause for alarm in (await repository.alarms(standing=True))[0]] == ["it moved"]
        again = AlarmDesk(repository, bulletin, ["phone-moved"], settle=0.0)
        await again.start()
        await again.stop()
        (alarm,), total = await repository.alarms()
        assert (alarm.stands, total) == (False, 1) and alarm.cleared_at <= time.time() and KEPT > 1
