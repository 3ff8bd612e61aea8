"""`opx up`: the demo as a user runs it, and programs that fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.network import LoopbackNetwork
from support.programs import PATIENCE, OutsideProgram, wait_until

DEMO = [sys.executable, "-m", "opx", "up", "--demo"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, timeout=3 * PATIENCE, check=False)


def test_the_demo_ends_with_0_when_both_phones_heard_each_other(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    done = run("--once", "--base", loopback.base, "--folder", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "office phone       heard the other end's 660 Hz tone" in done.stdout
    assert "remote phone       heard the other end's 440 Hz tone" in done.stdout
    for secret in ("remote.password", "office.password", "pbx.token"):
        assert (tmp_path / "demo" / secret).read_text().strip() not in done.stdout


def test_the_demo_ends_with_1_and_the_reason_when_an_address_is_taken(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((loopback.at("10.1"), 5060))
        done = run("--once", "--base", loopback.base, "--folder", str(tmp_path / "demo"))
    assert done.returncode == 1
    assert "the demo failed: gateway ended with status 1" in done.stdout
    assert "Address already in use" in done.stdout


def test_the_demo_keeps_running_until_it_is_stopped_and_leaves_nothing(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    arguments = [*DEMO, "--base", loopback.base, "--folder", str(tmp_path / "demo")]
    with OutsideProgram(arguments, tmp_path / "output.txt") as demo:
        demo.wait_for("Ctrl-C ends them")
        assert demo.running
        demo.stop()
    left = subprocess.run(["pgrep", "-f", str(tmp_path / "demo")], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_a_program_that_fails_is_started_again(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(
        f'address = "{loopback.at("20.10")}"\n[certificates]\nfolder = "{tmp_path}/certificates"\n'
    )
    arguments = [sys.executable, "-m", "opx", "up", "--site", str(tmp_path)]
    with OutsideProgram(arguments, tmp_path / "output.txt") as up:
        up.wait_for("ready: suite")
        subprocess.run(["pkill", "-KILL", "-f", f"suite run --config {tmp_path}/suite.toml"], check=True)
        up.wait_for("ended with status -9; starting again")
        wait_until(lambda: up.text.count("ready: suite") == 2, lambda: up.text)
        up.stop()


def test_one_that_is_killed_takes_its_programs_along(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    settings = tmp_path / "suite.toml"
    settings.write_text(f'address = "{loopback.at("20.10")}"\n[certificates]\nfolder = "{tmp_path}/certificates"\n')

    def left() -> str:
        found = subprocess.run(["pgrep", "-f", f"suite run --config {settings}"], capture_output=True, text=True)
        return found.stdout

    with OutsideProgram([sys.executable, "-m", "opx", "up", "--site", str(tmp_path)], tmp_path / "output.txt") as up:
        up.wait_for("ready: suite")
        assert left() != ""
        up.kill()
        wait_until(lambda: left() == "", left)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("address = 5", "suite.toml:1: address"),
        ('adress = "127.0.0.1"', "did you mean address?"),
        ("address = ", "suite.toml:1"),
    ],
)
def test_a_bad_setting_stops_the_start_with_file_line_key_and_what_would_be_right(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "suite.toml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "opx", "up", "--site", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stdout
    assert "expected" in done.stdout
