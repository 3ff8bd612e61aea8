"""Kamailio as the ICP: registrar with digest, and a proxy in the way of every call (`kamailio.cfg`)."""

from pathlib import Path

from support.programs import OutsideProgram, wait_until
from support.sipp_run import PORT, port_is_taken

CONFIGURATION = Path(__file__).with_name("kamailio.cfg")


class Kamailio(OutsideProgram):
    """Listening at `address` on entering; with its processes in one session of their own, ended on leaving."""

    def __init__(self, folder: Path, address: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._address = address
        files = ["-f", str(CONFIGURATION), "-w", str(folder), "-Y", str(folder), "-P", str(folder / "kamailio.pid")]
        super().__init__(["kamailio", *files, "-DD", "-E", "-l", f"udp:{address}:{PORT}"], folder / "kamailio.txt")

    def listen(self) -> None:
        """Wait until it has its port."""
        wait_until(lambda: not self.running or port_is_taken((self._address, PORT)), lambda: self.text)
        assert self.running, self.text
