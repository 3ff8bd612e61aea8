"""Several processes that do the same thing at the same moment."""

import os
import subprocess
import sys
from pathlib import Path

LIMIT = 60.0
"""Seconds until a process that hangs fails its test."""


def run_together(count: int, prepare: str, act: str, *arguments: str) -> list[str]:
    """Run Python code in `count` processes; `act` starts in all of them when `prepare` has ended in all.

    `arguments` are their `sys.argv[1:]`; `support` can be imported. Returns what each printed.
    """
    folders = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    code = f"import sys\n{prepare}\nprint('.', flush=True)\nsys.stdin.readline()\n{act}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line == ".\n", line + process.stdout.read()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return [process.communicate(timeout=LIMIT)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
