"""Calls across the lab between phones behind each kind of NAT and an office phone; none of them is ours."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opx.lab.plan import HOMES, Home
from opx.lab.site import EXTENSIONS
from support.lab import HomePhone, LiveLab, live_lab
from support.namespaces import needs_lab
from support.programs import needs_program, wait_until

pytestmark = [needs_lab(), needs_program("baresip", "sipp")]

TONE, OTHER_TONE = 700.0, 900.0
CALL_MILLISECONDS = 3500
REGISTER_SECONDS = 10

each_home = pytest.mark.parametrize("home", HOMES, ids=lambda home: f"{home.nat} NAT")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    with live_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


def registered(phone: HomePhone) -> None:
    phone.wait_for("200 OK")


def registered_again(phone: HomePhone, times: int) -> None:
    """More often than so many times."""
    wait_until(lambda: phone.text.count("200 OK") > times, lambda: phone.text)


@each_home
def test_baresip_behind_nat_calls_and_is_called_with_audio_both_ways(lab: LiveLab, tmp_path: Path, home: Home) -> None:
    office = lab.office(tmp_path / "sipp")
    with office.register() as registering:
        assert registering.wait() == 0, registering.text
    with lab.phone(tmp_path / "baresip", home.name) as phone:
        registered(phone)
        assert f"registered from {home.public}:" in lab.text
        # sipp sends every packet back: what the phone hears of itself went both ways.
        with office.answer() as answering:
            phone.dial("1102")
            phone.hears(TONE)
            phone.command("hangup")
            assert answering.wait() == 0, answering.text
        with office.call(EXTENSIONS[home.name], CALL_MILLISECONDS) as calling:
            wait_until(lambda: len(phone.recordings()) == 2, lambda: phone.text)
            phone.hears(TONE)
            assert calling.wait() == 0, calling.text
        phone.command("quit")
        phone.wait()


def test_the_homes_call_each_other_through_the_gateway(lab: LiveLab, tmp_path: Path) -> None:
    with (
        lab.phone(tmp_path / "one", "home1", TONE) as one,
        lab.phone(tmp_path / "two", "home2", OTHER_TONE) as two,
    ):
        registered(one)
        registered(two)
        one.dial("1002")
        one.hears(OTHER_TONE)
        two.hears(TONE)
        one.command("hangup")
        for phone in (one, two):
            phone.command("quit")
            phone.wait()


def test_registrations_heal_by_themselves_after_the_routers_forgot_their_mappings(lab: LiveLab, tmp_path: Path) -> None:
    office = lab.office(tmp_path / "sipp")
    with office.register() as registering:
        assert registering.wait() == 0, registering.text
    with (
        lab.phone(tmp_path / "one", "home1", interval=REGISTER_SECONDS) as one,
        lab.phone(tmp_path / "two", "home2", interval=REGISTER_SECONDS) as two,
    ):
        phones = {EXTENSIONS["home1"]: one, EXTENSIONS["home2"]: two}
        for phone in phones.values():
            registered(phone)
        said = len(lab.text)
        before = {phone: phone.text.count("200 OK") for phone in phones.values()}
        for home in HOMES:
            router = lab.view.prefix(home.router)
            subprocess.run([*router, sys.executable, "-m", "opx.lab.rebinding"], check=True)
        for number, phone in phones.items():
            registered_again(phone, before[phone])
            with office.call(number, CALL_MILLISECONDS) as calling:
                phone.hears(TONE)
                assert calling.wait() == 0, calling.text
        # The symmetric NAT made a new mapping; the other one the same again.
        moves = [line for line in lab.text[said:].splitlines() if "moved to" in line]
        assert len(moves) == 1 and f"moved to {HOMES[1].public}:" in moves[0]
        for phone in phones.values():
            phone.command("quit")
            phone.wait()


def test_a_lab_whose_holder_was_killed_ends_and_says_so(tmp_path: Path) -> None:
    with live_lab(tmp_path) as lab:
        os.kill(lab.view.pid, signal.SIGKILL)
        assert lab.program.wait() == 1
        assert "the lab is gone: its holder was killed" in lab.text
