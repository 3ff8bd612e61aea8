"""A program for tests: forks suites that provision a gateway, and that kill themselves at counted moments of the work.

`python killed_provisioning.py FOLDER MOMENT...`: the suite's files are in FOLDER, with everything of the guide's stages
1 to 4 done. One suite for each moment, which is one further step from its start: a write to the database begins or is
about to be committed, the gateway is asked or has answered. Another one ends the work.

A process of its own, because whoever forks must have no threads; and forks, because a new Python takes a second.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from opx.suite.opening import open_sites
from opx.suite.provisioning.service import Provisioning
from opx.suite.provisioning.settings import ProvisioningSettings
from opx.suite.settings import SuiteSettings
from opx.suite.timeline import Timeline
from support.suite_gateway import Board
from support.suite_store import suite_file

BULK = 2
"""Extensions in one write, so that a few make many moments."""


class Fate:
    """Ends this process, as the kernel does it when memory runs out, at the moment of that number; 0 is never."""

    def __init__(self, moment: int) -> None:
        self._left = moment

    def moment(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*arguments: Any) -> Any:
            self.moment()
            done = await work(*arguments)
            self.moment()
            return done

        return watched


async def provision(folder: Path, moment: int) -> None:
    """Work until there is nothing left to do."""
    sites = await open_sites(suite_file(folder).settings(SuiteSettings))
    provisioning = Provisioning(sites, Timeline(sites.engine), Board(), ProvisioningSettings(bulk_size=BULK))
    fate = Fate(moment)
    provisioning.kept.save_in = fate.around(provisioning.kept.save_in)  # type: ignore[method-assign,assignment]
    provisioning.link.ask = fate.around(provisioning.link.ask)  # type: ignore[method-assign,assignment]
    await provisioning.work_due()
    await provisioning.link.close()
    await sites.engine.dispose()


def killed(folder: Path, moment: int) -> bool:
    """Whether the moment came before the work was done. AssertionError when it ended in another way."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(provision(folder, moment))
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    assert os.waitstatus_to_exitcode(status) == 0, "a suite failed"
    return False


def main() -> None:
    folder = Path(sys.argv[1])
    count = sum([killed(folder, int(moment)) for moment in sys.argv[2:]])
    assert not killed(folder, 0)
    print(f"{count} suites killed")


if __name__ == "__main__":
    main()
