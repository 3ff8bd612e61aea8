"""A program for tests: forks writers of a gateway's database, kills each in the middle of its work, and looks at what
it left. `python killed_writers.py FOLDER SEED ROUNDS`; ends with an error when something acknowledged is missing.

A process of its own, because whoever forks must have no threads; and forks, because a new Python takes a second.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from opx.gateway.commands import app
from opx.gateway.journal import BindingRow
from opx.gateway.records import IcpSpec
from opx.gateway.repository import Repository
from opx.store.engine import is_postgresql
from support.gateway_store import REALM, SPEC, opened
from support.postgres import DATABASES

KINDS = 4
LONGEST = 0.02
"""Seconds between an acknowledgement and the kill, at most: one or two further writes."""

State = dict[str, tuple[str, bool]]
"""Description by set-side user name, and whether the device is registered."""


async def act(repository: Repository, number: int) -> None:
    """The operation of that number; each is one transaction."""
    group, step = divmod(number, KINDS)
    spec = replace(SPEC, set_username=f"d{group}", icp_username=f"1{group}")
    if step == 0:
        await repository.put_device(spec)
    elif step == 1:
        ids = {device.set_username: device.id for device in await repository.devices()}
        contact = f"sip:d{group}@192.0.2.9"
        row = BindingRow(ids[f"d{group}"], contact, "", "UDP", "192.0.2.9", 5062, "call", 1, "Phone/1", 1.0, 2.0)
        await repository.write(bindings=[row])
    elif step == 2:
        others = [replace(SPEC, set_username=f"{side}{group}", icp_username=f"{side}{group}") for side in "ab"]
        await repository.put_all([IcpSpec("Node 1", "10.0.0.20")], [replace(spec, description=f"{number}"), *others])
    elif group % 2:
        await repository.remove_device(f"d{group}")
    else:
        await repository.put_device(replace(spec, description=f"{number}", set_password=f"Changed-{number}-secret"))


def expected(count: int) -> State:
    """What is in the database after so many operations."""
    state: State = {}
    for number in range(count):
        group, step = divmod(number, KINDS)
        name = f"d{group}"
        if step == 0:
            state[name] = (SPEC.description, False)
        elif step == 1:
            state[name] = (SPEC.description, True)
        elif step == 2:
            state |= {name: (f"{number}", True), f"a{group}": (SPEC.description, False)}
            state[f"b{group}"] = (SPEC.description, False)
        elif group % 2:
            del state[name]
        else:
            state[name] = (f"{number}", True)
    return state


async def found(folder: Path) -> State:
    async with opened(folder) as repository:
        # As a writer, for on a server the last transaction of a client that was killed may still be ending.
        async with repository.engine.begin() as connection:
            if not is_postgresql(repository.engine):
                check = await connection.exec_driver_sql("PRAGMA integrity_check")
                assert check.scalar_one() == "ok"
        bound = {row.device_id for row in await repository.bindings()}
        devices = sorted(await repository.devices(), key=lambda device: device.set_username)
        return {device.set_username: (device.description, device.id in bound) for device in devices}


async def prepare(folder: Path) -> None:
    async with opened(folder) as repository:
        await repository.put_icp("Node 1", "", "10.0.0.20", 5060, "UDP")


async def write_on(folder: Path, number: int, acknowledge: Callable[[int], None]) -> None:
    async with opened(folder) as repository:
        while True:
            await act(repository, number)
            acknowledge(number)
            number += 1


def in_child(work: Callable[[int], None]) -> tuple[int, int]:
    """Run in a forked process; its id and the reading end of its pipe."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            work(writing)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    return child, reading


def result_of(work: Callable[[], Awaitable[object]]) -> str:
    """What it returns, as text, from a process of its own."""

    async def run() -> object:
        return await work()

    child, reading = in_child(lambda writing: _write_all(writing, repr(asyncio.run(run()))))
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "a child failed"
    return text


def _write_all(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w") as pipe:
        pipe.write(text)


def killed_while_writing(folder: Path, dice: random.Random, count: int) -> int:
    """Kill a writer some operations after the first `count` ones; how many are in the database then."""
    child, reading = in_child(
        lambda writing: asyncio.run(write_on(folder, count, lambda number: _say(writing, f"{number}\n")))
    )
    wanted = dice.randrange(1, 12)
    text = b""
    while text.count(b"\n") < wanted and (more := os.read(reading, 4096)):
        text += more
    time.sleep(dice.random() * LONGEST)
    os.kill(child, signal.SIGKILL)
    while more := os.read(reading, 4096):
        text += more
    os.close(reading)
    os.waitpid(child, 0)
    acknowledged = [int(line) for line in text.splitlines()]
    assert acknowledged == list(range(count, count + len(acknowledged))), "a writer failed before it was killed"
    count += len(acknowledged)
    state = result_of(lambda: found(folder))
    for done in (count, count + 1):
        if state == repr(dict(sorted(expected(done).items()))):
            return done
    raise AssertionError(f"after {count} acknowledged operations: {state}")


def _say(descriptor: int, text: str) -> None:
    os.write(descriptor, text.encode())


def killed_command(folder: Path, dice: random.Random, number: int) -> bool:
    """Kill `opx gateway device add` somewhere on its way; whether it had said that it was done."""

    def work(writing: int) -> None:
        os.dup2(writing, 1)
        settings = ("--config", str(folder / "gateway.toml"))
        app(["device", "add", f"c{number}", "--icp", "Node 1", "--generate", *settings], standalone_mode=False)
        sys.stdout.flush()

    child, reading = in_child(work)
    time.sleep(dice.random() * 0.25)
    os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        said = "revision 1" in pipe.read()
    os.waitpid(child, 0)
    assert not said or f"'c{number}'" in result_of(lambda: found(folder)), "a device that was said to be added is gone"
    return said


def main() -> None:
    folder, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dice = random.Random(seed)
    result_of(lambda: prepare(folder))
    count = 0
    for _ in range(rounds):
        count = killed_while_writing(folder, dice, count)
    database = DATABASES.setting(folder / "gateway.db")
    sides = '[set_side]\naddress = "127.0.10.1"\n[icp_side]\naddress = "127.0.20.1"\n'
    (folder / "gateway.toml").write_text(f'database = "{database}"\n[digest]\nrealm = "{REALM}"\n{sides}')
    said = sum(killed_command(folder, dice, number) for number in range(rounds // 2))
    print(f"{rounds} writers killed, {count} operations in the database; {said} commands had said that they were done")


if __name__ == "__main__":
    main()
