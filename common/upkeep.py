"""Copies of what another service knows, renewed in a thread beside the requests that use them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from common.telemetry import get_logger

WAIT_SECONDS = 1.0
WAIT_FOR_MISSING_SECONDS = 4.0
"""For who has nothing to go on with: as long as the call itself may take."""

log = get_logger(__name__)


class Upkeep:
    """When a copy is renewed, and who waits for it.

    One that is younger than `fresh` seconds is left alone. Then whoever comes first has it renewed, one at a time and
    not more often than every `pause` seconds. Only a request that finds it older than `good`, after an idle time, waits
    for that; and none does while it fails, or hangs.
    """

    def __init__(
        self,
        name: str,
        renew: Callable[[], object],
        *,
        fresh: float,
        good: float,
        pause: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._renew = renew
        self._fresh = fresh
        self._good = good
        self._pause = pause
        self._clock = clock
        self._known_at = self._tried_at = float("-inf")
        self._lock = threading.Lock()
        self._under_way: threading.Event | None = None
        self.is_failing = False

    def keep_up(self) -> None:
        """Called before each use."""
        now = self._clock()
        if now - self._known_at < self._fresh:
            return
        under_way = self._begin(now)
        if under_way and not self.is_failing and now - self._known_at > self._good:
            self._wait(under_way, WAIT_SECONDS)

    def renew_now(self) -> None:
        """Called by who misses something: waits for a new copy, unless one was tried for a moment ago."""
        under_way = self._begin(self._clock())
        if under_way:
            self._wait(under_way, WAIT_SECONDS if self.is_failing else WAIT_FOR_MISSING_SECONDS)

    def _begin(self, now: float) -> threading.Event | None:
        """The renewing that is under way, begun by whoever comes first; None while it is too early to try again."""
        with self._lock:
            if self._under_way is None and now - self._tried_at >= self._pause:
                self._tried_at = now
                self._under_way = threading.Event()
                threading.Thread(target=self._run, args=[self._under_way, now], daemon=True).start()
            return self._under_way

    def _run(self, done: threading.Event, began: float) -> None:
        try:
            self._renew()
            self._known_at = began
            self.is_failing = False
        except Exception as error:
            if not self.is_failing:
                log.warning(f"{self._name}_not_refreshed", error=type(error).__name__)
            self.is_failing = True
        finally:
            self._under_way = None
            done.set()

    def _wait(self, under_way: threading.Event, seconds: float) -> None:
        if not under_way.wait(seconds):
            self.is_failing = True  # the next ones wait less, or not at all


class Following:
    """A copy kept by asking all the time: `renew` comes back when there are news, or after a while without any.

    Its thread begins with the first use, and stays. Only who comes before it has heard anything waits for that, and
    nobody does while it fails.
    """

    def __init__(self, name: str, renew: Callable[[], object], *, pause: float) -> None:
        """`pause` is the least number of seconds from one asking to the next."""
        self._name = name
        self._renew = renew
        self._pause = pause
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._has_heard = threading.Event()
        self.is_failing = False

    def keep_up(self) -> None:
        """Called before each use."""
        if self._thread is None:
            self._begin()
        if not self._has_heard.is_set() and not self.is_failing and not self._has_heard.wait(WAIT_SECONDS):
            self.is_failing = True  # the next ones do not wait

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name=self._name, daemon=True)
                self._thread.start()

    def _follow(self) -> None:
        while True:
            began = time.monotonic()
            try:
                self._renew()
                self._has_heard.set()
                self.is_failing = False
            except Exception as error:
                if not self.is_failing:
                    log.warning(f"{self._name}_not_refreshed", error=type(error).__name__)
                self.is_failing = True
            time.sleep(max(0.0, self._pause - (time.monotonic() - began)))
