"""The highest memory and the CPU time of each process of a bench, by what the process is for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import own_cpu_seconds, tree

_ROLES = {
    "opx.gateway.web.process": "gateway: web services and console",
    "opx.gateway.media.worker": "gateway: media",
    "opx.gateway.forwarding.userspace.worker": "gateway: port forwarding",
    "opx.suite.console.process": "suite: console",
    "opx.suite.handsets.process": "suite: handsets",
}
_MAIN = {"gateway": "gateway: signalling", "suite": "suite: provisioning", "pbx": "PBX node"}


class Peaks:
    """`peaks` in bytes (the largest of a role) and `cpu` in seconds by role, once `watching` is over."""

    def __init__(self, programs: Mapping[str, int]) -> None:
        self._programs = dict(programs)
        self.peaks: dict[str, int] = {}
        self.cpu: dict[str, float] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """From now on, until the context is left."""
        before = {pid: own_cpu_seconds(pid) for pid in self._all()}
        for pid in before:
            # What a process held before does not count (proc(5), clear_refs).
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        yield
        for pid, role in self._all().items():
            self.note(role, _peak(pid), own_cpu_seconds(pid) - before.get(pid, 0.0))

    def note(self, role: str, peak: int, cpu: float) -> None:
        self.peaks[role] = max(self.peaks.get(role, 0), peak)
        self.cpu[role] = self.cpu.get(role, 0.0) + cpu

    def _all(self) -> dict[int, str]:
        found = {}
        for name, root in self._programs.items():
            for pid in tree(root):
                found[pid] = _role(pid) or _MAIN[name]
        return found


def _role(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        for module, role in _ROLES.items():
            if module in words:
                return role
    return ""


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
