"""Telling verifiers what was revoked as soon as it is: their requests wait here until there is something to tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from auth_service.config import AuthConfig
from auth_service.domain import revocations
from common.db import Database
from common.health import Draining
from common.signals import Signals

CHANNEL = "revoked"
"""Notified by a trigger on the table (migration 0008)."""
NOTICE_STOP_SECONDS = 1.0


class RevocationNews:
    """Who waits holds a thread, and no connection: one listens for all. Who finds no room is answered at once."""

    def __init__(self, config: AuthConfig, database: Callable[[], Database]) -> None:
        self._config = config
        self._database = database
        self._room = threading.BoundedSemaphore(max(1, config.web_threads // 6))
        self._lock = threading.Lock()
        self._signals: Signals | None = None

    def since(self, after: int, again: int, seconds: float) -> dict[str, Any]:
        """As revocations.since; waits until there is more than was told before, or for so long."""
        if not seconds or not self._room.acquire(blocking=False):
            return self._read(after)
        try:
            return self._awaited(after, again, time.monotonic() + seconds)
        finally:
            self._room.release()

    def _awaited(self, after: int, again: int, deadline: float) -> dict[str, Any]:
        with self._listening().expecting(CHANNEL) as woken:
            while True:
                woken.clear()
                answer = self._read(after)
                if len(answer["items"]) > again:
                    return answer
                while not woken.wait(NOTICE_STOP_SECONDS):
                    if Draining.begun.is_set() or time.monotonic() > deadline:
                        return answer

    def _read(self, after: int) -> dict[str, Any]:
        with self._database().read() as reading:
            return revocations.since(reading, after)

    def _listening(self) -> Signals:
        with self._lock:
            if self._signals is None:
                self._signals = Signals(self._database().direct_url, self._config.schema, "auth-revocations")
            return self._signals

    def close(self) -> None:
        if self._signals:
            self._signals.close()
