"""A shared cache (RFC 9111) that knows no route: services say of each answer whether it is the same for everybody.

Only what somebody without a token or a cookie was answered is ever stored. Who comes with one gets it where the service
said `public`; else the service is asked, as if there were no cache.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gevent.event import Event
from prometheus_client import Counter, Gauge
from werkzeug.datastructures import ResponseCacheControl
from werkzeug.http import parse_cache_control_header, parse_etags

from gateway.problems import Fields

NAME = "bookstore"
LARGEST = 1024 * 1024
MOST_NAMES = 4
"""Of request fields that an answer may vary by."""
STORABLE = frozenset({200, 301, 404, 410})
PASS_SECONDS = 10.0
"""For how long nobody waits for somebody else's answer, after one that could not be stored."""
WAIT_SECONDS = 10.0
_OF_A_BODY = frozenset({"content-length", "content-type", "content-encoding", "transfer-encoding"})
_NOT_STORED = frozenset({"set-cookie", "age", "cache-status", "connection"})

ANSWERS = Counter("gateway_cache_total", "GET answers by what the cache did", ["result"])
BYTES = Gauge("gateway_cache_bytes", "What the stored answers take")


@dataclass(slots=True)
class Stored:
    """An answer, and for how long it may be given: fresh, then stale while it is fetched anew, then if that fails."""

    status: str
    fields: Fields
    body: bytes
    fresh: float
    while_revalidated: float
    if_error: float
    is_public: bool
    must_revalidate: bool
    etag: str = ""
    made_at: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        return time.monotonic() - self.made_at

    @property
    def is_fresh(self) -> bool:
        return self.age < self.fresh

    @property
    def may_be_shown_meanwhile(self) -> bool:
        return not self.must_revalidate and self.age < self.fresh + self.while_revalidated

    @property
    def may_be_shown_for_want_of_another(self) -> bool:
        return not self.must_revalidate and self.age < self.fresh + self.if_error

    @property
    def size(self) -> int:
        return len(self.body) + sum(len(name) + len(value) for name, value in self.fields) + 500

    def answer(self, environ: dict[str, Any], told: str) -> tuple[str, Fields, list[bytes]]:
        """As it is given to this request: 304 to who has it already, no body to HEAD."""
        fields = [*self.fields, ("Age", str(int(self.age))), ("Cache-Status", f"{NAME}; {told}")]
        if self.etag and _has_already(environ, self.etag) and self.status.startswith("200"):
            kept = [each for each in fields if each[0].lower() not in _OF_A_BODY]
            return "304 Not Modified", kept, []
        fields.append(("Content-Length", str(len(self.body))))
        return self.status, fields, [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]

    def hit(self, environ: dict[str, Any], detail: str = "") -> tuple[str, Fields, list[bytes]]:
        ANSWERS.labels("hit" if self.is_fresh else "stale").inc()
        return self.answer(environ, f"hit; ttl={int(self.fresh - self.age)}{detail}")


def stored_from(status: str, fields: Fields, body: bytes) -> Stored | None:
    """What may be stored of an answer to somebody without credentials (RFC 9111 section 3), or None."""
    code = int(status[:3])
    control = parse_cache_control_header(_joined(fields, "cache-control"), cls=ResponseCacheControl)
    lifetime = control.s_maxage if control.s_maxage is not None else control.max_age
    forbids = control.no_store or control.private is not None or control.no_cache is not None
    if code not in STORABLE or forbids or lifetime is None or len(body) > LARGEST:
        return None
    names = varies_by(fields)
    if names is None or any(name.lower() == "set-cookie" for name, _ in fields):
        return None
    kept = [each for each in fields if each[0].lower() not in _NOT_STORED | {"content-length"}]
    return Stored(
        status,
        kept,
        body,
        fresh=max(0, lifetime),
        while_revalidated=_seconds(control, "stale-while-revalidate"),
        if_error=_seconds(control, "stale-if-error"),
        is_public=bool(control.public),
        must_revalidate=bool(control.must_revalidate or control.proxy_revalidate),
        etag=_joined(fields, "etag"),
        made_at=time.monotonic() - _number(_joined(fields, "age")),
    )


def varies_by(fields: Fields) -> Sequence[str] | None:
    """The names in Vary as WSGI spells them; None for what fits no second request."""
    named = sorted({each.strip().lower() for each in _joined(fields, "vary").split(",")} - {"", "origin"})
    if "*" in named or len(named) > MOST_NAMES:
        return None
    return tuple("HTTP_" + name.upper().replace("-", "_") for name in named)


class Cache:
    """Bounded in bytes; what was used longest ago goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[tuple[str, ...], Stored] = OrderedDict()
        self._varying: OrderedDict[str, Sequence[str]] = OrderedDict()
        self._flights: dict[str, Event] = {}
        self._passes: OrderedDict[str, float] = OrderedDict()

    def find(self, target: str, environ: dict[str, Any]) -> Stored | None:
        """The answer to this very target that fits this request, fresh or not."""
        names = self._varying.get(target)
        if names is None:
            return None
        key = _key(target, names, environ)
        stored = self._entries.get(key)
        if stored is None or ("HTTP_AUTHORIZATION" in environ and not stored.is_public):
            return None
        self._entries.move_to_end(key)
        return stored

    def knows(self, target: str) -> bool:
        """Whether its answers do not depend on a cookie, so that it may be fetched without a person's own."""
        return "HTTP_COOKIE" not in self._varying.get(target, ("HTTP_COOKIE",))

    def learn(self, target: str, names: Sequence[str]) -> None:
        """That answers to it are the same for everybody with these fields."""
        self._varying[target] = names
        self._varying.move_to_end(target)
        while len(self._varying) > 50_000:
            self._varying.popitem(last=False)

    def store(self, target: str, environ: dict[str, Any], stored: Stored) -> None:
        names = varies_by(stored.fields) or ()
        self.learn(target, names)
        key = _key(target, names, environ)
        self._drop(key)
        self._entries[key] = stored
        self._size += stored.size
        while self._size > self._limit and self._entries:
            self._drop(next(iter(self._entries)))
        BYTES.set(self._size)

    def forget(self, target: str) -> None:
        """What was changed through us is not given any more as it was before (RFC 9111 section 4.4)."""
        if self._varying.pop(target, None) is not None:
            for key in [key for key in self._entries if key[0] == target]:
                self._drop(key)

    def _drop(self, key: tuple[str, ...]) -> None:
        dropped = self._entries.pop(key, None)
        if dropped is not None:
            self._size -= dropped.size

    def leads(self, target: str) -> bool:
        """Whether this request is the one that fetches; else another one does. `landed` has to follow."""
        if target in self._flights:
            return False
        self._flights[target] = Event()
        return True

    def landed(self, target: str, *, was_stored: bool) -> None:
        if not was_stored:
            self._passes[target] = time.monotonic() + PASS_SECONDS
            while len(self._passes) > 10_000:
                self._passes.popitem(last=False)
        self._flights.pop(target).set()

    def is_passed(self, target: str) -> bool:
        """Whether an answer was not to be stored a short while ago: to wait for another's would only cost time."""
        return self._passes.get(target, 0.0) > time.monotonic()

    def wait(self, target: str) -> None:
        """For who fetches it, if somebody does."""
        if flight := self._flights.get(target):
            flight.wait(WAIT_SECONDS)


def _key(target: str, names: Sequence[str], environ: dict[str, Any]) -> tuple[str, ...]:
    return (target, *(str(environ.get(name, "")) for name in names))


def _joined(fields: Fields, wanted: str) -> str:
    return ", ".join(value for name, value in fields if name.lower() == wanted)


def _seconds(control: ResponseCacheControl, name: str) -> float:
    return _number(str(control.get(name) or ""))


def _number(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _has_already(environ: dict[str, Any], etag: str) -> bool:
    asked = environ.get("HTTP_IF_NONE_MATCH")
    return bool(asked) and parse_etags(asked).contains_weak(etag.removeprefix("W/").strip('"'))
