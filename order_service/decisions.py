"""Waiting for the catalog's word on an order's stock, within the request that placed it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from common.db import Database
from common.signals import Signals
from order_service.domain.status import DECIDED

LOOK_AGAIN_SECONDS = 1.0
SULK_SECONDS = 3.0


class DecisionWaiter:
    """Wakes the request that waits for an order to be decided.

    A wait holds a thread. When one was in vain, nobody waits for a few seconds, and then one request at a time
    until a decision comes again: the others need the threads more than they need an answer that will not come.
    """

    def __init__(self, database: Database) -> None:
        config = database.config
        self._signals = Signals(database.url, config.schema, f"{config.service}-web")
        self._lock = threading.Lock()
        self._waiting = 0
        self._in_doubt = False
        self._no_waiting_until = 0.0

    @contextmanager
    def expecting(self, order_id: UUID, seconds: float) -> Iterator[Callable[[Callable[[], bool]], None]]:
        """Begin to listen before the order exists; call the result with a check to wait until it holds."""
        if seconds <= 0 or not self._may_wait():
            yield lambda _is_decided: None
            return
        try:
            with self._signals.expecting(DECIDED, str(order_id)) as woken:
                yield lambda is_decided: self._wait(woken, is_decided, seconds)
        finally:
            with self._lock:
                self._waiting -= 1

    def close(self) -> None:
        self._signals.close()

    def _may_wait(self) -> bool:
        with self._lock:
            if time.monotonic() < self._no_waiting_until or (self._in_doubt and self._waiting):
                return False
            self._waiting += 1
            return True

    def _wait(self, woken: threading.Event, is_decided: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_decided():
            left = deadline - time.monotonic()
            if left <= 0:
                self._in_doubt, self._no_waiting_until = True, time.monotonic() + SULK_SECONDS
                return
            woken.wait(min(left, LOOK_AGAIN_SECONDS))
            woken.clear()
        self._in_doubt = False
