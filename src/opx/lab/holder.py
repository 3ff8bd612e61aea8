"""The holder: two processes that everything of a lab hangs on.

The outer one makes the namespaces. Its child is the first process of a PID namespace: when it ends, the kernel ends all
others in there, and with the last of them go the network namespaces, the cables between them, and the mounts. It ends
when its standard input does (whoever wanted the lab is gone), when the outer one dies, or by a signal.
"""

import json
import os
import signal
import sys
from pathlib import Path

from opx.lab import namespaces
from opx.lab.building import BuildError, build
from opx.lab.plan import Alg
from opx.parent import end_with_parent


def main(arguments: list[str]) -> int:
    """`arguments` are home=alg. Prints one line of JSON once the lab stands, or why it does not."""
    algs = {home: Alg(alg) for home, _, alg in (argument.partition("=") for argument in arguments)}
    try:
        namespaces.isolate()
    except namespaces.NamespaceError as error:
        print(error, flush=True)  # noqa: T201
        return 1
    # Asked for only now: becoming root of a user namespace would have taken it back.
    end_with_parent()
    child = os.fork()
    if child == 0:
        os._exit(_hold(algs))
    os.close(0)
    os.close(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _hold(algs: dict[str, Alg]) -> int:
    end_with_parent()
    outer_pid = int(str(Path("/proc/self").readlink()))
    try:
        namespaces.own_mounts()
        build(algs)
    except (namespaces.NamespaceError, BuildError) as error:
        print(error, flush=True)  # noqa: T201
        return 1
    print(json.dumps({"pid": outer_pid}), flush=True)  # noqa: T201
    # Orphans of the lab become our children; nobody asks how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
