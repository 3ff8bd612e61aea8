"""Network namespaces in tests: hosts of their own on one machine."""

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
