"""How often somebody may ask: counted by class, for a person or else an address, in windows of fixed length.

The answer tells how much is left (draft-ietf-httpapi-ratelimit-headers). A storage that is away limits nobody: the
store would rather be asked too often than not be open.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import redis
from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from prometheus_client import Counter, Gauge
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.errors import TooManyRequests
from common.telemetry import get_logger
from gateway.problems import Fields
from gateway.routes import Limit

STORAGE_SECONDS = 0.25
PAUSE_SECONDS = 2.0
"""For how long a storage that failed is not asked again."""
PURGE_SECONDS = 10.0
PREFIX = "bookstore"

REFUSED = Counter("rate_limited_total", "Requests that were answered 429", ["limit"])
STORAGE_UP = Gauge("rate_limit_storage_up", "0 while requests are not counted since the storage is away, else 1")

log = get_logger(__name__)


class Counts(Protocol):
    """The part of a storage of `limits` that is used here."""

    def incr(self, key: str, expiry: int) -> int:
        """The count with this request, in a window that is forgotten after `expiry` seconds."""


class Memory:
    """Of this process. Not the one of `limits`: that looks at all it has counted a hundred times a second, which with a
    hundred thousand addresses costs more than all the rest of a request. It begins a thread, too early."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._purge_at = 0.0

    def incr(self, key: str, expiry: int) -> int:
        now = time.time()
        if now >= self._purge_at:
            self._purge(now)
        if self._until.setdefault(key, now + expiry) <= now:
            self._counts[key], self._until[key] = 0, now + expiry
        self._counts[key] = count = self._counts.get(key, 0) + 1
        return count

    def _purge(self, now: float) -> None:
        self._purge_at = now + PURGE_SECONDS
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._counts[key], self._until[key]


class RateLimits:
    """`url` names a Redis that replicas share; without one, each process counts for itself."""

    def __init__(self, limits: Mapping[Limit, RateLimitItem], url: str = "") -> None:
        self._storage: Counts = _redis(url) if url else Memory()
        self._limits = dict(limits)
        self._policies = {
            limit: f'"{limit.value}";q={item.amount};w={item.get_expiry()}' for limit, item in limits.items()
        }
        self._ask_again_at = 0.0
        self._is_away = False
        STORAGE_UP.set(1)

    def count(self, limit: Limit, who: str, told: Fields) -> None:
        """Count one request of this class. Raises TooManyRequests; `told` is given the fields for the answer."""
        item, now = self._limits[limit], time.time()
        seconds = item.get_expiry()
        window, into = divmod(now, seconds)
        count = self._increment(f"{PREFIX}/{limit.value}/{who}/{int(window)}", seconds)
        if count is None:
            return
        left, resets_in = max(0, item.amount - count), max(1, int(seconds - into + 0.999))
        told += [
            ("RateLimit-Policy", self._policies[limit]),
            ("RateLimit", f'"{limit.value}";r={left};t={resets_in}'),
        ]
        if count > item.amount:
            REFUSED.labels(limit.value).inc()
            raise TooManyRequests("You have sent too many requests; wait a moment.", retry_after=resets_in)

    def _increment(self, key: str, seconds: int) -> int | None:
        """The count, or None while nothing can be counted."""
        if self._is_away:
            if time.monotonic() < self._ask_again_at:
                return None
            self._ask_again_at = time.monotonic() + PAUSE_SECONDS  # one request finds out, nobody else waits
        try:
            count = self._storage.incr(key, seconds)
        except redis.RedisError as error:
            self._note_away(error)
            return None
        if self._is_away:
            self._is_away = False
            STORAGE_UP.set(1)
            log.info("rate_limits_counted_again")
        return count

    def _note_away(self, error: Exception) -> None:
        self._ask_again_at = time.monotonic() + PAUSE_SECONDS
        if not self._is_away:
            self._is_away = True
            STORAGE_UP.set(0)
            log.warning("rate_limits_not_counted", error=type(error).__name__)


def _redis(url: str) -> RedisStorage:
    patience = {"socket_connect_timeout": STORAGE_SECONDS, "socket_timeout": STORAGE_SECONDS}
    return RedisStorage(url, retry=Retry(NoBackoff(), 0), **patience)  # type: ignore[arg-type]


def parsed_limits(overrides: Mapping[str, str]) -> dict[Limit, RateLimitItem]:
    """The usual limits with these in place of some, each like `600/minute`. Raises ValueError."""
    known = {limit.value for limit in Limit}
    if unknown := sorted(overrides.keys() - known):
        raise ValueError(f"There is no limit {', '.join(unknown)}.")
    return {limit: parse(overrides.get(limit.value, limit.usual)) for limit in Limit}
