"""What was acknowledged outlives a process, or a database server, that is killed in the middle of a write."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from support.gateway_store import opened
from support.killed_writers import act, expected, found, prepare
from support.postgres import DATABASES, needs_postgres, running_server
from support.programs import PATIENCE

ROUNDS = 8


@pytest.mark.usefixtures("each_database")
def test_writers_that_are_killed_leave_all_that_they_had_acknowledged_and_nothing_half_done(tmp_path: Path) -> None:
    DATABASES.place(tmp_path / "gateway.db")
    tests = Path(__file__).parents[1]
    folders = [str(tests), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, str(tests / "support" / "killed_writers.py"), str(tmp_path), "7", str(ROUNDS)],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{ROUNDS} writers killed" in done.stdout


@needs_postgres()
async def test_a_database_server_that_is_killed_has_all_that_it_had_acknowledged(tmp_path: Path) -> None:
    dice = random.Random(7)
    with running_server(settings={}) as server, DATABASES.on(server):
        await prepare(tmp_path)
        count = 0
        for whole in (True, False, True):
            killed = asyncio.Event()

            async def kill(whole: bool = whole, killed: asyncio.Event = killed) -> None:
                if whole:
                    await asyncio.to_thread(server.kill)
                else:
                    # One process killed makes the server throw all others out and recover by itself.
                    for pid in server.query(BACKENDS).split():
                        os.kill(int(pid), 9)
                killed.set()

            async with opened(tmp_path) as repository:
                last = count + dice.randrange(1, 10)
                killing = None
                try:
                    while True:
                        await act(repository, count)
                        count += 1
                        if count == last:
                            killing = asyncio.create_task(kill())
                except Exception:
                    assert killing is not None, "a write failed before the server was killed"
                await killing
            if whole:
                await asyncio.to_thread(server.start)
            else:
                await asyncio.to_thread(server.wait)
            state = dict(sorted(dict(await found(tmp_path)).items()))
            for done in (count, count + 1):
                if state == dict(sorted(expected(done).items())):
                    count = done
                    break
            else:
                raise AssertionError(f"after {count} acknowledged operations: {state}")


BACKENDS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
