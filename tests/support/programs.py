"""Third-party programs in tests: needed by name, run in a session of their own, and always ended."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

PATIENCE = 60.0
"""Seconds that a test waits for another program; a guard against hanging, no measure of anything."""
FAREWELL = 10.0
"""Seconds that a program gets to end what it started, when a test is over."""


def needs_program(*names: str) -> pytest.MarkDecorator:
    """Skips a test where a program is missing."""
    missing = [name for name in names if shutil.which(name) is None]
    reason = f"{', '.join(missing)} not installed (OPX_INSTALL_PEERS=1 make setup)"
    return pytest.mark.skipif(bool(missing), reason=reason)


def needs_root() -> pytest.MarkDecorator:
    return pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class OutsideProgram:
    """A program with its output in a file; ended with its whole group on leaving the context."""

    def __init__(self, arguments: Sequence[str], output: Path, *, cwd: Path | None = None) -> None:
        self._arguments = list(arguments)
        self._output = output
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._output.open("wb") as file:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self.running:
            # What it started in sessions of their own, as `opx up` does, only it can end.
            os.killpg(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FAREWELL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def text(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        assert self._process is not None
        return self._process.poll() is None

    def wait(self) -> int:
        """Its exit status, once it ended by itself."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL to the program alone, as the kernel does it when memory runs out."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def wait_for(self, text: str) -> None:
        """Until its output holds `text`; AssertionError with the output when it ends without."""
        wait_until(lambda: text in self.text or not self.running, lambda: f"{text!r} in: {self.text}")
        assert text in self.text, f"{self._arguments[0]} ended without {text!r}:\n{self.text}"


def wait_until(true: Callable[[], bool], what: Callable[[], str] = lambda: "it") -> None:
    """Look at an observable state until it is so. AssertionError when it never is."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what()}"
        time.sleep(0.02)


@contextlib.contextmanager
def listening_socket(path: Path) -> Iterator[None]:
    """A program that listens on a Unix socket, and answers nothing."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield
    path.unlink()
