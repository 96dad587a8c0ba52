"""Waiting for the catalog's word on an order's stock, within the request that placed it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from common.db import Database
from common.signals import Signals
from order_service.config import OrderConfig
from order_service.domain.status import DECIDED
from order_service.doubt import Doubt

LOOK_AGAIN_SECONDS = 1.0
SULK_SECONDS = 3.0


class DecisionWaiter:
    """Wakes the request that waits for an order to be decided."""

    def __init__(self, database: Database) -> None:
        config = cast(OrderConfig, database.config)
        self._signals = Signals(database.direct_url, config.schema, f"{config.service}-web")
        self._doubt = Doubt(SULK_SECONDS, config.most_waiting_decisions)

    @contextmanager
    def expecting(self, order_id: UUID, seconds: float) -> Iterator[Callable[[Callable[[], bool]], None]]:
        """Begin to listen before the order exists; call the result with a check to wait until it holds."""
        if seconds <= 0 or not self._doubt.may_wait():
            yield lambda _is_decided: None
            return
        try:
            with self._signals.expecting(DECIDED, str(order_id)) as woken:
                yield lambda is_decided: self._wait(woken, is_decided, seconds)
        finally:
            self._doubt.done()

    def close(self) -> None:
        self._signals.close()

    def _wait(self, woken: threading.Event, is_decided: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_decided():
            left = deadline - time.monotonic()
            if left <= 0:
                self._doubt.tell(in_vain=True)
                return
            woken.wait(min(left, LOOK_AGAIN_SECONDS))
            woken.clear()
        self._doubt.tell(in_vain=False)
