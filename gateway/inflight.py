"""How many requests of one person are with the services at once: beyond that, they wait in nobody's way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import TooManyRequests


class InFlight:
    """Of this process. A live stream and what follows the head of an answer are not counted: no service waits there."""

    def __init__(self, most: int) -> None:
        """`most`: 0 is no limit."""
        self._most = most
        self._counts: Counter[str] = Counter()

    @contextmanager
    def one_of(self, person: str | None) -> Iterator[None]:
        """Raises TooManyRequests. None: a request that is nobody's, which the rate limits count by address."""
        if person is None or not self._most:
            yield
            return
        if self._counts[person] >= self._most:
            raise TooManyRequests(f"You have {self._most} requests under way; wait for their answers.")
        self._counts[person] += 1
        try:
            yield
        finally:
            self._counts[person] -= 1
            if not self._counts[person]:
                del self._counts[person]
