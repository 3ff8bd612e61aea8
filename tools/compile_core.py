"""Compiles the SIP library, the descriptions and the gateway's signalling with mypyc into a tree of its own.

The tree holds all of the package, so that PYTHONPATH=build/compiled is all that a program needs to use it. It is made
anew when a source differs from what it was made of. Needs a C compiler; the sources stay what they are.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
TARGET = HERE / "build" / "compiled"
ROOMS = ("sip", "sip/bodies", "sip/transport", "sdp", "gateway/signalling", "gateway/media", "rtp")
"""Where the time of a registration and of a call goes; the shells in sip/transport wait for the kernel."""
INTERPRETED = frozenset(("__init__.py", "settings.py", "xml.py", "interface.py", "worker.py"))
"""Modules that mypyc cannot take: packages' doors, pydantic's models, a character class with lone surrogates, what is
read by the names of its slots, and a program's first module."""
SETUP = """
from mypyc.build import mypycify
from setuptools import setup

made = mypycify({arguments!r}, opt_level="2", debug_level="0", multi_file=True)
setup(name="opx-compiled", packages=[], ext_modules=made)
"""


def modules(source: Path) -> list[str]:
    """What is compiled, relative to the folder that holds the package."""
    return [
        str(path.relative_to(source))
        for room in ROOMS
        for path in sorted((source / "opx" / room).glob("*.py"))
        if path.name not in INTERPRETED
    ]


def fingerprint(source: Path) -> str:
    """Of all sources and the interpreter."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(source.rglob("*.py")):
        digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_current(target: Path = TARGET, source: Path = HERE / "src") -> bool:
    """Whether `target` was made of these sources."""
    stamp = target / "stamp.txt"
    return stamp.exists() and stamp.read_text() == fingerprint(source)


def compile_core(target: Path = TARGET, source: Path = HERE / "src") -> None:
    """Make `target` anew. SystemExit with the compiler's last lines when it cannot be done."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if shutil.which("gcc") is None or not header.exists():
        sys.exit("gcc and Python's headers are needed (on Debian: gcc, python3-dev); all runs without, only slower")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source / "opx", target / "opx", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    found = modules(target)
    (target / "setup.py").write_text(SETUP.format(arguments=["--strict", "--no-warn-unused-ignores", *found]))
    print(f"compiling {len(found)} modules, which takes some minutes ...", flush=True)
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", f"--parallel={os.cpu_count() or 1}"],
        cwd=target,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit("\n".join(done.stdout.splitlines()[-20:]))
    shutil.rmtree(target / "build")
    (target / "setup.py").unlink()
    (target / "stamp.txt").write_text(fingerprint(source))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only look: exit status 1 when it is not up to date")
    if parser.parse_args().check:
        sys.exit(not is_current())
    if is_current():
        print("build/compiled is up to date")
    else:
        compile_core()
