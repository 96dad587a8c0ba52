"""The way of a GET through the cache: given from it, fetched for all who ask at once, or passed by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import gevent

from common.errors import DomainError
from common.telemetry import get_logger
from gateway.cache import ANSWERS, LARGEST, NAME, Cache, Stored, stored_from, varies_by
from gateway.problems import Fields

Answer = tuple[str, Fields, Iterable[bytes]]
Forward = Callable[[dict[str, Any]], Answer]
"""Asks the service in the name of a request. Raises DomainError where it does not answer."""

OF_A_PERSON = ("HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_DPOP", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE")
_PASSED_BY = ("HTTP_RANGE", "HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_UPGRADE")
SERVER_ERROR = 500

log = get_logger(__name__)


class Caching:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def answer(self, target: str, environ: dict[str, Any], forward: Forward) -> Answer:
        """Raises as `forward`."""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self._changing(target, environ, forward)
        if any(name in environ for name in _PASSED_BY):
            return _told(forward(environ), "fwd=bypass")
        stored = None if _wants_new(environ) else self._cache.find(target, environ)
        if stored is not None and stored.is_fresh:
            return stored.hit(environ)
        if not self._is_fetchable(target, environ):
            return self._asked_for_one(target, environ, forward)
        if stored is not None and stored.may_be_shown_meanwhile:
            if self._cache.leads(target):
                gevent.spawn(self._renew, target, environ, forward, stored)
            return stored.hit(environ)
        return self._fetched(target, environ, forward, stored)

    def _changing(self, target: str, environ: dict[str, Any], forward: Forward) -> Answer:
        answer = forward(environ)
        if int(answer[0][:3]) < 400:
            self._cache.forget(target)
        return answer

    def _is_fetchable(self, target: str, environ: dict[str, Any]) -> bool:
        """Whether it may be asked for without what the request has of a person's own."""
        if environ["REQUEST_METHOD"] == "HEAD" or self._cache.is_passed(target):
            return False
        if "HTTP_AUTHORIZATION" in environ:
            return False
        return "HTTP_COOKIE" not in environ or self._cache.knows(target)

    def _asked_for_one(self, target: str, environ: dict[str, Any], forward: Forward) -> Answer:
        """For this request alone; what the answer says of itself is remembered for the next one."""
        answer = forward(environ)
        names = varies_by(answer[1])
        if "HTTP_AUTHORIZATION" not in environ and names is not None and stored_from(answer[0], answer[1], b""):
            self._cache.learn(target, names)
        ANSWERS.labels("pass").inc()
        return _told(answer, "fwd=request")

    def _fetched(self, target: str, environ: dict[str, Any], forward: Forward, stored: Stored | None) -> Answer:
        while not self._cache.leads(target):
            self._cache.wait(target)
            found = self._cache.find(target, environ)
            if found is not None and found is not stored:
                return found.hit(environ, "; collapsed")
            if self._cache.is_passed(target):
                return self._asked_for_one(target, environ, forward)
        return self._fetch(target, environ, forward, stored)

    def _renew(self, target: str, environ: dict[str, Any], forward: Forward, stored: Stored) -> None:
        """Beside the request that is answered meanwhile."""
        try:
            _, _, body = self._fetch(target, dict(environ), forward, stored)
            _close(body)
        except Exception as error:
            log.warning("cache_not_renewed", error=type(error).__name__)

    def _fetch(self, target: str, environ: dict[str, Any], forward: Forward, stored: Stored | None) -> Answer:
        was_stored = False
        try:
            status, fields, body = forward(_impersonal(environ, stored))
            code = int(status[:3])
            if code == 304 and stored is not None:
                was_stored = True
                return self._refreshed(target, environ, stored, fields).answer(environ, "fwd=stale; fwd-status=304")
            if code >= SERVER_ERROR and stored is not None and stored.may_be_shown_for_want_of_another:
                was_stored = True
                _close(body)
                return stored.hit(environ, f"; fwd=stale; fwd-status={code}")
            if stored_from(status, fields, b"") is None:
                return self._passed((status, fields, body))
            whole, rest = _gathered(body)
            new = stored_from(status, fields, whole) if rest is None else None
            if new is None:
                return self._passed((status, fields, rest or [whole]))
            was_stored = True
            self._cache.store(target, environ, new)
            ANSWERS.labels("miss").inc()
            return new.answer(environ, f"fwd={'stale' if stored else 'uri-miss'}; stored")
        except DomainError:
            if stored is None or not stored.may_be_shown_for_want_of_another:
                raise
            was_stored = True
            return stored.hit(environ, "; fwd=stale; detail=unreachable")
        finally:
            self._cache.landed(target, was_stored=was_stored)

    def _passed(self, answer: Answer) -> Answer:
        ANSWERS.labels("pass").inc()
        return _told(answer, "fwd=uri-miss")

    def _refreshed(self, target: str, environ: dict[str, Any], stored: Stored, fields: Fields) -> Stored:
        """What is stored, fresh again by a 304, with the fields that came with it (RFC 9111 section 4.3.4)."""
        told = {name.lower() for name, _ in fields}
        merged = [each for each in stored.fields if each[0].lower() not in told] + fields
        new = stored_from(stored.status, merged, stored.body)
        if new is None:
            self._cache.forget(target)
            return stored
        self._cache.store(target, environ, new)
        ANSWERS.labels("revalidated").inc()
        return new


def _wants_new(environ: dict[str, Any]) -> bool:
    control = environ.get("HTTP_CACHE_CONTROL", "")
    return "no-cache" in control or "no-store" in control or "max-age=0" in control or "HTTP_PRAGMA" in environ


def _impersonal(environ: dict[str, Any], stored: Stored | None) -> dict[str, Any]:
    plain = {name: value for name, value in environ.items() if name not in OF_A_PERSON}
    plain.pop("gunicorn.socket", None)  # who asked first may leave: others wait for the same
    if stored is not None and stored.etag:
        plain["HTTP_IF_NONE_MATCH"] = stored.etag
    plain["REQUEST_METHOD"] = "GET"
    return plain


def _gathered(body: Iterable[bytes]) -> tuple[bytes, Iterable[bytes] | None]:
    """All of the body; or, of one that is too large to be stored, nothing, and all of it to be passed on."""
    blocks, size = [], 0
    source = iter(body)
    try:
        for block in source:
            blocks.append(block)
            size += len(block)
            if size > LARGEST:
                return b"", _Rest(blocks, source, body)
    except BaseException:
        _close(body)
        raise
    _close(body)
    return b"".join(blocks), None


class _Rest:
    """A body of which the beginning was read already."""

    def __init__(self, read: list[bytes], source: Iterable[bytes], body: Iterable[bytes]) -> None:
        self._blocks, self._body = chain(read, source), body

    def __iter__(self) -> Any:
        return iter(self._blocks)

    def close(self) -> None:
        _close(self._body)


def _close(body: Iterable[bytes]) -> None:
    if close := getattr(body, "close", None):
        close()


def _told(answer: Answer, told: str) -> Answer:
    status, fields, body = answer
    if any(name.lower() == "cache-control" and "no-store" in value for name, value in fields):
        return answer
    return status, [*fields, ("Cache-Status", f"{NAME}; {told}")], body
