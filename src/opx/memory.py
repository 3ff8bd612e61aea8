"""The collector's walks in a server: short ones on the way, the long one when nobody waits.

Tens of thousands of transactions linger for half a minute by design, and a walk over everything holds a busy server up
for a second or two, long enough for every phone to repeat itself. What ends here comes free without the collector
(`tests/playbooks/test_memory.py`), so that the long walk is for what libraries leave behind, and can wait.
"""

import asyncio
import gc
import time
from collections.abc import Callable

LOOK = 60.0
"""Seconds between two looks at how busy the process was."""
QUIET = 0.1
"""Share of a processor: below it few phones are being served, and few objects are there to walk over."""
YOUNG, MIDDLE, NEVER = 10_000, 5, 1_000_000
"""Thresholds: walks over 10,000 and over 50,000 new objects, and none over all of them by itself."""


def settle() -> None:
    """For servers, once they are up: what lives now lives on, and is not looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, NEVER)


async def collect_when_quiet(look: float = LOOK, used: Callable[[], float] = time.process_time) -> None:
    """The long walk, each time that the process had little to do for `look` seconds. Runs until it is cancelled."""
    while True:
        before = used()
        await asyncio.sleep(look)
        if used() - before < QUIET * look:
            gc.collect()
