"""A process that ends together with its parent, however that one ends."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Be sent a signal when the thread that started this process ends; holds beyond exec. OSError."""
    if _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        failure = ctypes.get_errno()
        raise OSError(failure, f"prctl: {os.strerror(failure)}")
