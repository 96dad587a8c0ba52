"""Waiting for somebody who may not answer, without every thread of a process standing in line for it."""

from __future__ import annotations

import math
import threading
import time


class Doubt:
    """A wait holds a thread. When one was in vain, nobody waits for a few seconds, and then one request at a time until
    one is not: the others need the threads more than they need an answer that will not come. At no time do more than
    `most_waiting` wait.
    """

    def __init__(self, sulk_seconds: float, most_waiting: int | None = None) -> None:
        self._sulk_seconds = sulk_seconds
        self._most_waiting = math.inf if most_waiting is None else most_waiting
        self._lock = threading.Lock()
        self._waiting = 0
        self._in_doubt = False
        self._no_waiting_until = 0.0

    def may_wait(self) -> bool:
        """Whoever may, says `done` in the end."""
        with self._lock:
            most = 1 if self._in_doubt else self._most_waiting
            if time.monotonic() < self._no_waiting_until or self._waiting >= most:
                return False
            self._waiting += 1
            return True

    def tell(self, *, in_vain: bool) -> None:
        """How a wait went."""
        self._in_doubt = in_vain
        if in_vain:
            self._no_waiting_until = time.monotonic() + self._sulk_seconds

    def done(self) -> None:
        with self._lock:
            self._waiting -= 1
