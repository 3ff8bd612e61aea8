"""Running a command in a host of a lab: `python -m opx.lab.entering PID HOST COMMAND...`."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from opx.lab import namespaces
from opx.lab.building import NETNS
from opx.parent import end_with_parent


def run(holder: int, host: str, command: Sequence[str]) -> int:
    """Run it to its end and return its exit status; it ends with this process, and with the lab."""
    folder = Path.cwd()
    for kind in ("user", "pid", "mnt"):
        namespaces.join(holder, kind)
    namespaces.join_file(NETNS / host)
    # The mount namespace has put us at its root.
    with contextlib.suppress(OSError):
        os.chdir(folder)
    child = os.fork()
    if child == 0:
        _become(host, command)
    # A terminal sends its signals to the child, too; others are meant for it.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


def _become(host: str, command: Sequence[str]) -> None:
    try:
        end_with_parent()
        namespaces.own_host_name(host)
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(127)


if __name__ == "__main__":
    try:
        sys.exit(run(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
    except OSError as error:
        sys.exit(f"cannot enter {sys.argv[2]} of the lab: {error}")
