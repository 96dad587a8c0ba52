"""Waiting for a condition, with a limit: what tests do in place of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within: float = 10.0, every: float = 0.02) -> T:
    """The first truthy result of `condition`; raises AssertionError with the last one after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s; last seen: {result!r}")
        time.sleep(every)
