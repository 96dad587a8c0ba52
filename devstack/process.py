"""Small things about processes: ending with one's parent, waiting for a condition."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
LOOK_EVERY_SECONDS = 0.02


def die_with_parent(signal_number: int) -> Callable[[], None] | None:
    """For Popen's preexec_fn: have the kernel send this signal when the parent is gone, even by kill -9.

    Linux only; elsewhere the next `up` ends what was left behind.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return arrange


def wait_until(condition: Callable[[], bool], seconds: float, *, every: float = LOOK_EVERY_SECONDS) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
