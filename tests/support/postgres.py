"""A PostgreSQL server for one test run: in a folder of its own, by an unprivileged user, ended with the run."""

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from opx.parent import end_with_parent
from opx.store.place import Place, PostgresAddress, ServerPolicy
from support.programs import PATIENCE

PROGRAMS = ("initdb", "postgres", "psql", "pg_dump")
ROLE = "opx"
_ENVIRONMENT = "OPX_TEST_POSTGRES"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests of which none is about what outlives a loss of power."""


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres, where Debian and others keep it out of the PATH."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(found).parent] if found else []
    return next((folder for folder in folders if all((folder / program).exists() for program in PROGRAMS)), None)


def needs_postgres() -> pytest.MarkDecorator:
    """Skips a test where PostgreSQL is missing."""
    reason = "postgresql not installed (OPX_INSTALL_PEERS=1 make setup)"
    return pytest.mark.skipif(postgres_programs() is None, reason=reason)


class PostgresServer:
    """`start`, `stop` and `kill` as often as one likes; what was written stays until `remove`.

    Everybody on its Unix socket is let in; over TCP, on `host`, a role needs its password.
    """

    def __init__(self, host: str = "", settings: dict[str, str] = FAST) -> None:
        programs = postgres_programs()
        assert programs is not None
        self._programs = programs
        self._settings = settings
        self.host = host
        # Not pytest's own folder, which the other user may not enter; and short, for the socket stands in it.
        self.folder = Path(tempfile.mkdtemp(prefix="opx-pg-"))
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._made: set[str] = set()
        self._run(
            "initdb",
            "-D",
            str(self.folder / "data"),
            "-U",
            ROLE,
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        )
        access = "local all all trust\nhost all all 127.0.0.0/8 scram-sha-256\n"
        (self.folder / "data" / "pg_hba.conf").write_text(access)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        settings = {
            "unix_socket_directories": str(self.folder),
            "listen_addresses": self.host,
            "max_connections": "200",
            "shared_buffers": "16MB",
            **self._settings,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # As its owner stops it, also when the test run is broken off.
                preexec_fn=partial(end_with_parent, signal.SIGINT),
                **self._as_user(),  # type: ignore[call-overload]
            )
        self.wait()

    def wait(self) -> None:
        """Until it lets clients in."""
        assert self._process is not None
        end = time.monotonic() + PATIENCE
        while self._try("SELECT 1").returncode != 0:
            assert self._process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """As its owner stops it: no client is waited for."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL to the server and all that it started, as when the machine goes down."""
        assert self._process is not None
        # Its children have sessions of their own, so they are no group that could be killed at once.
        children = self.children()
        self._process.kill()
        self._process.wait(PATIENCE)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < end, "processes of a killed server are still there"
            time.sleep(0.01)

    def children(self) -> list[int]:
        """Its processes: those that look after the data, and one for each connection."""
        found = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False)
        return [int(number) for number in found.stdout.split()]

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def query(self, text: str, database: str = "postgres") -> str:
        """What psql prints for it."""
        done = self._try(text, database)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def database(self, name: str) -> Place:
        """A database of that name, empty when it is new; reached by the Unix socket."""
        if name not in self._made:
            self.query(f'CREATE DATABASE "{name}" TEMPLATE template0')
            self._made.add(name)
        return _place(name, str(self.folder))

    def dump(self, place: Place) -> bytes:
        """As pg_dump writes a database, values of bytes in hexadecimal turned back."""
        assert place.server is not None
        arguments = ["-h", str(self.folder), "-U", ROLE, place.server.database]
        done = subprocess.run([self._programs / "pg_dump", *arguments], check=True, capture_output=True)
        return re.sub(rb"\\\\x([0-9a-f]+)", lambda found: bytes.fromhex(found[1].decode()), done.stdout)

    def _try(self, text: str, database: str = "postgres") -> subprocess.CompletedProcess[str]:
        arguments = ["-h", str(self.folder), "-U", ROLE, "-d", database, "-X", "-q", "-At", "-c", text]
        return subprocess.run([self._programs / "psql", *arguments], capture_output=True, text=True, check=False)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self._programs / program, *arguments], check=True, capture_output=True, **self._as_user())  # type: ignore[call-overload]

    def _as_user(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": [], "cwd": self.folder}


def _place(name: str, folder: str) -> Place:
    policy = ServerPolicy(pool_size=2, pool_overflow=3, ssl_mode="disable")
    return Place(server=PostgresAddress(name, folder, username=ROLE), policy=policy)


@contextlib.contextmanager
def running_server(host: str = "", settings: dict[str, str] = FAST) -> Iterator[PostgresServer]:
    server = PostgresServer(host, settings)
    try:
        server.start()
        yield server
    finally:
        server.remove()


class Databases:
    """Where a test's databases are: in its folder, or on a server, one for each file there would be.

    In a process that a test has started, too; the test itself is to ask for a place first.
    """

    server: PostgresServer | None = None

    @contextlib.contextmanager
    def on(self, server: PostgresServer) -> Iterator[None]:
        self.server = server
        os.environ[_ENVIRONMENT] = str(server.folder)
        try:
            yield
        finally:
            self.server = None
            del os.environ[_ENVIRONMENT]

    def place(self, file: Path) -> Place:
        """The database that stands for `file`."""
        name = hashlib.sha256(str(file).encode()).hexdigest()[:24]
        if self.server is not None:
            return self.server.database(name)
        if _ENVIRONMENT in os.environ:
            return _place(name, os.environ[_ENVIRONMENT])
        return Place(file=file)

    def dump(self, file: Path) -> bytes:
        """All rows of the database as PostgreSQL's own tool writes them; b"" for a file."""
        return b"" if self.server is None else self.server.dump(self.place(file))

    def setting(self, file: Path) -> str:
        """The same for a settings file."""
        place = self.place(file)
        if place.server is None:
            return str(file)
        return f"postgresql://{place.server.username}@/{place.server.database}?host={place.server.host}"


DATABASES = Databases()
