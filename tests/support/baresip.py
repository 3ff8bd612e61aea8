"""baresip, run headless as a remote phone.

Its RTP sockets are not bound to an address, so that on the loopback network its audio leaves from 127.0.0.1; it must
signal from there, too, for the gateway lets in audio only from where the signalling comes from.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from opx.rtp import tones, wav
from support.live import LiveSite
from support.network import free_port
from support.programs import OutsideProgram

MODULES = Path("/usr/lib/baresip/modules")
LOCAL = "127.0.0.1"
TONE = 700
"""Hz that it plays."""

SPEAK = """
import socket, sys
host, port, text = sys.argv[1:]
with socket.create_connection((host, int(port)), 5) as link:
    link.sendall(f"{len(text)}:{text},".encode())
    link.recv(4096)
"""
"""Says one netstring to a control socket; a program of its own, for the socket may be in another network namespace."""


def write_configuration(
    folder: Path,
    *,
    port: int,
    username: str,
    password: str,
    server: str,
    transport: str,
    control_port: int,
    local: str = LOCAL,
    tone: float = TONE,
    interval: int = 120,
    applications: Sequence[str] = (),
) -> None:
    """Its configuration folder: an account at `server`, a tone as the microphone, recordings beside it.

    `interval` is how many seconds it registers for. `applications` are further modules, such as mwi, which subscribes
    to messages waiting.
    """
    modules = "".join(f"module_app {name}.so\n" for name in applications)
    folder.mkdir(parents=True, exist_ok=True)
    wav.write(folder / "tone.wav", tones.sine(tone, 8000 * 60))
    (folder / "config").write_text(f"""\
sip_listen {local}:{port}
net_interface {local}
audio_source aufile,{folder}/tone.wav
audio_player aufile,nil
audio_alert aufile,nil
audio_channels 1
audio_srate 8000
rtp_ports 10000-10100
module_path {MODULES}
module g711.so
module uuid.so
module aufile.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
{modules}ctrl_tcp_listen {LOCAL}:{control_port}
snd_path {folder}
""")
    (folder / "accounts").write_text(
        f"<sip:{username}@{server};transport={transport.lower()}>;auth_user={username};auth_pass={password}"
        f";answermode=auto;audio_codecs=PCMU/8000/1;regint={interval}\n"
    )
    (folder / "contacts").write_text("")


def take_account(folder: Path) -> str:
    """Take the account out of the configuration, to be given with the command uanew once the phone runs.

    Its mwi module subscribes without end when it is registered before its first timer, a millisecond after the start.
    """
    account = (folder / "accounts").read_text().strip()
    (folder / "accounts").write_text("")
    return account


class Baresip(OutsideProgram):
    """A running baresip; `command` speaks to it as its user would. `prefix` runs it in another place."""

    def __init__(self, folder: Path, control_port: int, prefix: Sequence[str] = ()) -> None:
        super().__init__([*prefix, "baresip", "-4", "-f", str(folder), "-s"], folder / "output.txt")
        self._folder = folder
        self._prefix = prefix
        self._control_port = control_port

    def command(self, command: str, parameters: str = "") -> None:
        """A command by the control socket, which speaks JSON in netstrings."""
        arguments = [str(self._control_port), json.dumps({"command": command, "params": parameters, "token": "t"})]
        subprocess.run([*self._prefix, sys.executable, "-c", SPEAK, LOCAL, *arguments], check=True)

    def recordings(self) -> list[Path]:
        """What it heard, a file per call."""
        return sorted(self._folder.glob("dump-*-dec.wav"))

    def heard_itself(self) -> bool:
        """Whether its own tone came back, which proves the audio of both directions where the other end echoes."""
        recordings = self.recordings()
        assert recordings, self.text
        samples = wav.read(recordings[-1])
        middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
        return len(middle) > 4000 and tones.dominant(middle, (float(TONE), 440.0)) == TONE


def remote_baresip(site: LiveSite, folder: Path, transport: str = "UDP") -> Baresip:
    """The phone of a site's device 1."""
    control = free_port(LOCAL)
    write_configuration(
        folder,
        port=free_port(LOCAL),
        username="tw1",
        password="set-1-Secret",
        server=site.outside,
        transport=transport,
        control_port=control,
    )
    return Baresip(folder, control)
