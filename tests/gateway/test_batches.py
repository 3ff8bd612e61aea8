"""Many changes in one flush do what the same ones do that are made one after the other."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from opx.gateway.records import DeviceChange, RepositoryError
from opx.gateway.repository import Repository
from support.gateway_store import SPEC, opened, with_icp

NAMES = ["tw1", "tw2", "tw3", "1001", "1002"]
ROUNDS = 20

Wish = tuple[str, str, str, str, int]
"""The name of the device to change, its new names and description, and how far off the version is."""


def made_up(dice: random.Random) -> Wish:
    of = dice.choice(["", "", *NAMES, "gone"])
    kept = dice.random() < 0.6
    set_username = of if of and kept else dice.choice([*NAMES, ""])
    icp_username = f"9{set_username}" if kept else dice.choice(NAMES)
    return of, set_username, icp_username, dice.choice("ab"), int(dice.random() < 0.1)


async def changes_of(repository: Repository, wishes: list[Wish]) -> list[DeviceChange]:
    devices = {device.set_username: device for device in await repository.devices()}
    changes = []
    for of, set_username, icp_username, description, off in wishes:
        spec = replace(SPEC, set_username=set_username, icp_username=icp_username, description=description)
        device = devices.get(of)
        if of and device is None:
            changes.append(DeviceChange(spec if set_username else None, 999, 1))
        elif device is not None:
            changes.append(DeviceChange(spec if set_username else None, device.id, device.version + off))
        elif set_username:
            changes.append(DeviceChange(spec, version=0 if off == 0 else None))
    return changes


def said(results: list[Any]) -> list[Any]:
    """Results without ids, which databases give as they like."""
    return [
        type(result)
        if isinstance(result, RepositoryError)
        else (replace(result[0], id=0), result[0].version, result[1])
        for result in results
    ]


async def test_both_ways_of_making_many_changes_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    dice = random.Random(11)
    together = 0
    async with opened(tmp_path / "one") as one, opened(tmp_path / "other") as other:
        await with_icp(one)
        await with_icp(other)
        for _ in range(ROUNDS):
            wishes = [made_up(dice) for _ in range(dice.choice([1, 2, 2, 3, 5]))]
            first = await one.change_devices(await changes_of(one, wishes))
            second = await other._change_one_by_one(await changes_of(other, wishes))
            assert said(first) == said(second), wishes
            together += not any(isinstance(result, RepositoryError) for result in first)
            states = [[replace(device, id=0) for device in await it.devices()] for it in (one, other)]
            assert states[0] == states[1]
    assert together > 5, "nothing was made together"
