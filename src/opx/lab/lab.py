"""A lab as its owner has it: started, found by others through a file in its folder, and stopped."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from opx.lab.plan import HOMES, HOSTS, Alg

STATE = "lab.json"
"""Locked by the lab's owner while the lab runs; the lock goes with the owner, however it ends."""
STOP_LIMIT = 10.0
"""Seconds that the holder may take to end before it is killed."""


class LabError(Exception):
    """A lab could not be built, or is not there; the text says why."""


@dataclass(frozen=True, slots=True)
class LabView:
    """A running lab: its holder's process id, and the homes whose routers rewrite SIP."""

    pid: int
    algs: dict[str, Alg]

    def prefix(self, host: str) -> tuple[str, ...]:
        """What to put before a command so that it runs in `host`. LabError when there is no such host."""
        if host not in HOSTS:
            raise LabError(f"there is no host {host!r} in the lab; expected one of {', '.join(HOSTS)}")
        return (sys.executable, "-m", "opx.lab.entering", str(self.pid), host)


class Lab:
    """Builds a lab with `start`; it ends with `stop`, or with this process."""

    def __init__(self, folder: Path, algs: Mapping[str, Alg] | None = None) -> None:
        self._folder = folder
        self._algs = dict(algs or {})
        self._holder: subprocess.Popen[str] | None = None
        self._state: TextIO | None = None

    def start(self) -> LabView:
        """LabError when it cannot be built, or one runs in that folder already."""
        strange = [home for home in self._algs if home not in {home.name for home in HOMES}]
        if strange:
            raise LabError(f"there is no home {strange[0]!r}; expected {' or '.join(home.name for home in HOMES)}")
        if Path("/run") in self._folder.resolve().parents:
            raise LabError(f"{self._folder} is below /run, which a lab covers with its own; take another folder")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._state = (self._folder / STATE).open("a+", encoding="utf-8")
        except OSError as error:
            raise LabError(f"cannot write to {self._folder}: {error.strerror}") from None
        try:
            fcntl.flock(self._state, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._state.close()
            raise LabError(f"a lab runs already in {self._folder}") from None
        self._holder = subprocess.Popen(
            [sys.executable, "-m", "opx.lab.holder", *(f"{home}={alg}" for home, alg in self._algs.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        line = self._holder.stdout.readline()
        if not line.startswith("{"):
            text = line + self._holder.stdout.read()
            self.stop()
            raise LabError(text.strip() or "the lab's holder ended without a word")
        view = LabView(json.loads(line)["pid"], self._algs)
        self._state.truncate(0)
        self._state.write(json.dumps({"pid": view.pid, "algs": view.algs}))
        self._state.flush()
        return view

    def wait(self) -> None:
        """Until the lab is gone, by `stop` or because its holder was killed."""
        assert self._holder is not None
        self._holder.wait()

    def stop(self) -> None:
        """Ends the holder, and with it everything in the lab."""
        if self._holder is not None:
            assert self._holder.stdin is not None and self._holder.stdout is not None
            self._holder.stdin.close()
            try:
                self._holder.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self._holder.kill()
                self._holder.wait()
            self._holder.stdout.close()
        if self._state is not None:
            self._state.close()


def find(folder: Path) -> LabView:
    """The lab that runs in a folder. LabError when none does."""
    missing = LabError(f"no lab runs in {folder}; start one with `make lab` or `opx lab up`")
    try:
        with (folder / STATE).open("r", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                text = file.read()
            else:
                raise missing
    except FileNotFoundError:
        raise missing from None
    except PermissionError:
        raise LabError(f"the lab in {folder} is somebody else's") from None
    if not text:
        raise LabError(f"the lab in {folder} is being built")
    state = json.loads(text)
    return LabView(state["pid"], {home: Alg(alg) for home, alg in state["algs"].items()})
