"""The `opx` command as a user types it."""

import subprocess
import sys
from pathlib import Path

import pytest

import opx
from opx.cli import PROGRAMS


def opx_command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "opx", *arguments], capture_output=True, text=True, cwd=cwd)


def test_the_version_is_told() -> None:
    done = opx_command("--version")
    assert (done.returncode, done.stdout) == (0, f"opx {opx.__version__}\n")


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_the_overview_names_every_program(arguments: tuple[str, ...]) -> None:
    done = opx_command(*arguments)
    assert done.returncode == 0
    assert all(f"  {program} " in done.stdout for program in PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_explains_itself(program: str) -> None:
    done = opx_command(program, "--help")
    assert done.returncode == 0
    assert f"opx {program}" in done.stdout


def test_an_unknown_program_is_refused_by_name() -> None:
    done = opx_command("gatway")
    assert done.returncode == 2
    assert "'gatway'" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_loads_no_other(program: str) -> None:
    code = (
        f"import sys; sys.argv = ['opx', {program!r}, '--help']\n"
        "from opx.cli import main\n"
        "try: main()\n"
        "finally: print('LOADED', *sorted(name for name in sys.modules if name.startswith('opx.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = done.stdout.partition("LOADED")[2].split()
    assert f"opx.{program}.commands" in loaded
    assert [name for name in loaded if name.split(".")[1] in PROGRAMS and name.split(".")[1] != program] == []


@pytest.mark.parametrize("program", ["gateway", "pbx", "suite"])
def test_a_bad_setting_stops_the_start_and_shows_no_traceback(program: str, tmp_path: Path) -> None:
    (tmp_path / f"{program}.toml").write_text("[adress]\n")
    done = opx_command(program, "run", cwd=tmp_path)
    assert done.returncode == 1
    assert f"{program}.toml:1: adress: unknown key" in done.stderr
    assert "Traceback" not in done.stderr
