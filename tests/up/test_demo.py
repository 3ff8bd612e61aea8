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


def assert_both_heard(said: str) -> None:
    assert "office phone 1002  heard the other end's 660 Hz tone" in said
    assert "69xx at home       heard the other end's 440 Hz tone" in said


def test_the_demo_goes_through_all_stages_runs_until_it_is_stopped_and_goes_on_where_it_was(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    arguments = ["--base", loopback.base, "--folder", str(folder)]
    with OutsideProgram([*DEMO, *arguments], tmp_path / "output.txt") as demo:
        for number in range(1, 7):
            demo.wait_for(f"stage {number}:")
        demo.wait_for("registered at")
        demo.wait_for("Ctrl-C ends them")
        assert demo.running
        demo.stop()
    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    assert_both_heard(demo.text)
    for secret in ("1002.password", "pbx.token", "consumer.secret"):
        assert (folder / secret).read_text().strip() not in demo.text

    again = run("--once", *arguments)
    assert again.returncode == 0, again.stdout + again.stderr
    assert_both_heard(again.stdout)


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
