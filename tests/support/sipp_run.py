"""Runs sipp with scenarios of `sipp_flow`, several at a time, and tells what was said when one fails."""

import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from support.programs import OutsideProgram, wait_until
from support.sipp_flow import Party

PORT = 5060
STEP_LIMIT = 12_000
"""Milliseconds that sipp waits for any one message; a guard against hanging."""


class SippParty(OutsideProgram):
    """sipp playing `party` at `local` toward `remote`; on a context's entry it listens already."""

    def __init__(
        self,
        folder: Path,
        name: str,
        party: Party,
        *,
        local: str,
        remote: str,
        port: int = PORT,
        calls: int = 1,
        more: Sequence[str] = (),
    ) -> None:
        file = folder / f"{name}.xml"
        file.write_text(party.scenario())
        self._name = name
        self._messages = folder / f"{name}-messages.txt"
        self._errors = folder / f"{name}-errors.txt"
        self._address = (local, port)
        assert not port_is_taken(self._address), f"{name}: somebody else has {local}:{port}"
        arguments = [
            *("sipp", f"{remote}:{PORT}", "-sf", str(file), "-m", str(calls), "-nostdin", "-i", local, "-p", str(port)),
            *("-mi", local, "-recv_timeout", str(STEP_LIMIT), "-default_behaviors", "all,-bye"),
            *(
                "-trace_err",
                "-error_file",
                str(self._errors),
                "-trace_msg",
                "-message_file",
                str(self._messages),
                *more,
            ),
        ]
        super().__init__(arguments, folder / f"{name}-screen.txt", cwd=folder)

    def listen(self) -> None:
        """Wait until it has its port."""
        wait_until(lambda: not self.running or port_is_taken(self._address), lambda: f"{self._name}: {self.text}")

    def verdict(self) -> str:
        """ "" when the party met with what it expected, else what it met with."""
        if self.wait() == 0:
            return ""
        told = [file.read_text(errors="replace") for file in (self._errors, self._messages) if file.exists()]
        return f"\n===== {self._name} =====\n" + "\n".join(told or [self.text[-2000:]])


async def play(*parties: SippParty) -> None:
    """Start the parties in their order, each when the one before listens; all must meet with what they expect."""

    def run() -> str:
        with ExitStack() as stack:
            for party in parties:
                stack.enter_context(party)
                party.listen()
            return "".join(party.verdict() for party in parties)

    failure = await asyncio.to_thread(run)
    assert not failure, failure


def port_is_taken(address: tuple[str, int]) -> bool:
    """Whether some program has a UDP port. Trying to bind it would be in the way of whoever is about to."""
    host, port = address
    wanted = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
    return any(line.split()[1] == wanted for line in Path("/proc/net/udp").read_text().splitlines())
