"""Where requests wait for something slow: only so many, so that the threads which answer everybody never run out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import Unavailable

RETRY_AFTER_SECONDS = 2


class Room:
    """Nobody waits for a place in it: who finds none is refused with `crowded`, a sentence for people."""

    def __init__(self, places: int, crowded: str) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._crowded = crowded

    def resize(self, places: int) -> None:
        """Before anybody waits."""
        self._places = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises Unavailable when there is none."""
        with self.place_if_any() as is_in:
            if not is_in:
                raise self.refusal()
            yield

    @contextmanager
    def place_if_any(self) -> Iterator[bool]:
        """Whether there is one, for who can also go on without waiting."""
        places = self._places
        if not places.acquire(blocking=False):
            yield False
            return
        try:
            yield True
        finally:
            places.release()

    def refusal(self) -> Unavailable:
        return Unavailable(self._crowded, retry_after=RETRY_AFTER_SECONDS)
