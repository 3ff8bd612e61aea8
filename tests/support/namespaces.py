"""Network namespaces in tests: hosts of their own on one machine."""

import os
import shutil
import subprocess
from functools import cache

import pytest


@cache
def missing() -> str:
    """Why this process can make no network namespace; "" when it can."""
    for program in ("ip", "unshare"):
        if shutil.which(program) is None:
            return f"{program} not installed (Debian packages iproute2 and util-linux)"
    trial = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True)
    return "" if trial.returncode == 0 else f"no network namespaces: {trial.stderr.strip()}"


def needs_netns() -> pytest.MarkDecorator:
    """Skips a test where no network namespace can be made."""
    return pytest.mark.skipif(bool(missing()), reason=missing())


@cache
def lab_missing() -> str:
    """Why no lab can be built here; "" when one can."""
    if shutil.which("nft") is None:
        return "nft not installed (OPX_INSTALL_PEERS=1 make setup)"
    if shutil.which("ip") is None:
        return "ip not installed (Debian package iproute2)"
    trial = subprocess.run(
        ["unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--net", "nft", "list", "tables"],
        capture_output=True,
        text=True,
    )
    return "" if trial.returncode == 0 else f"no network namespaces: {trial.stderr.strip()}"


@cache
def kernel_has_alg() -> bool:
    """Whether a router of a lab can have the kernel's SIP ALG."""
    if lab_missing():
        return False
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    rules = 'table ip t { ct helper h { type "sip" protocol udp; }; }'
    return subprocess.run(["unshare", *user, "--net", "nft", rules], capture_output=True).returncode == 0


def needs_lab() -> pytest.MarkDecorator:
    """Skips a test where no lab can be built."""
    return pytest.mark.skipif(bool(lab_missing()), reason=lab_missing())
