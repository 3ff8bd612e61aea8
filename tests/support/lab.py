"""Labs in tests: a lab as its users start it, and small programs in its hosts."""

import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opx.lab.lab import LabView, find
from opx.lab.plan import OUTSIDE, PBX, PHONE, SPARE_PHONE
from opx.lab.site import EXTENSIONS
from opx.rtp import tones, wav
from support.baresip import Baresip, write_configuration
from support.programs import PATIENCE, OutsideProgram, wait_until
from support.sipp import Sipp

WAV_HEADER = 44
SIP_PORT, CONTROL_PORT = 5060, 4444
"""Of a baresip: it has its network for itself."""
HEARD = 1.0
"""Seconds of the other's tone that a recording must hold before a call is ended."""


def run_in(view: LabView, host: str, code: str, *arguments: str) -> str:
    """Run Python code in a host and return what it printed."""
    done = subprocess.run(
        [*view.prefix(host), sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class HomePhone(Baresip):
    """baresip in a home of the lab."""

    def __init__(self, view: LabView, lab_folder: Path, folder: Path, home: str, tone: float, interval: int) -> None:
        write_configuration(
            folder,
            port=SIP_PORT,
            username=home,
            password=(lab_folder / f"{home}.password").read_text().strip(),
            server=OUTSIDE,
            transport="UDP",
            control_port=CONTROL_PORT,
            local=PHONE,
            tone=tone,
            interval=interval,
        )
        super().__init__(folder, CONTROL_PORT, view.prefix(home))

    def dial(self, number: str) -> None:
        self.command("dial", f"sip:{number}@{OUTSIDE}")

    def hears(self, tone: float) -> None:
        """Wait until its newest recording holds enough, which must be that tone."""
        wait_until(lambda: self._seconds() >= HEARD, lambda: f"audio in: {self.text}")
        samples = self._samples()
        assert tones.dominant(samples[len(samples) // 4 :], (440.0, 700.0, 900.0)) == tone

    def _seconds(self) -> float:
        return len(self._samples()) / wav.RATE

    def _samples(self) -> "array[int]":
        """Read without the header, which is put right only when the call is over."""
        recordings = self.recordings()
        data = recordings[-1].read_bytes()[WAV_HEADER:] if recordings else b""
        return array("h", data[: len(data) // 2 * 2])


@dataclass
class LiveLab:
    """`opx lab up`, running."""

    folder: Path
    program: OutsideProgram
    view: LabView

    @property
    def text(self) -> str:
        """What its programs have said so far."""
        return self.program.text

    def phone(self, folder: Path, home: str, tone: float = 700.0, interval: int = 120) -> HomePhone:
        return HomePhone(self.view, self.folder, folder, home, tone, interval)

    def office(self, folder: Path) -> Sipp:
        """An office phone that is not ours."""
        password = (self.folder / "spare-icp.password").read_text().strip()
        return Sipp(
            folder,
            local=SPARE_PHONE,
            pbx=PBX,
            number=EXTENSIONS["spare"],
            password=password,
            prefix=self.view.prefix("lan"),
        )


@contextmanager
def live_lab(folder: Path, *options: str) -> Iterator[LiveLab]:
    """A lab with its programs running; gone on leaving."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "opx", "lab", "up", "--folder", str(folder), *options]
    with OutsideProgram(command, folder / "output.txt") as program:
        program.wait_for("the lab is up")
        yield LiveLab(folder, program, find(folder))
        if program.running:
            program.stop()
