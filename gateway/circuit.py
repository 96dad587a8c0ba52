"""A circuit breaker: after several failures in a row a service is left alone for a moment."""

from __future__ import annotations

import time

from common.errors import Unavailable

THRESHOLD = 5
COOL_DOWN_SECONDS = 2.0


class Circuit:
    """Closed, open, or half-open: when the cool-down is over one request is let through to try."""

    def __init__(self, name: str, *, threshold: int = THRESHOLD, cool_down: float = COOL_DOWN_SECONDS) -> None:
        self._name = name
        self._threshold = threshold
        self._cool_down = cool_down
        self._failures = 0
        self._next_try_at = 0.0

    def check(self) -> None:
        """Raises Unavailable while the circuit is open."""
        if self._failures < self._threshold:
            return
        now = time.monotonic()
        if now < self._next_try_at:
            raise Unavailable(f"The {self._name} service does not answer.", retry_after=1 + int(self._cool_down))
        self._next_try_at = now + self._cool_down

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self._threshold:
            self._next_try_at = time.monotonic() + self._cool_down
