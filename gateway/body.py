"""The request body: all of it is here before a service hears of the request, bounded in size, time and speed.

A slow client then holds a greenlet and some of our disk, and never one of a service's few threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gevent import Timeout
from gunicorn.http.errors import NoMoreData, ParseException

from common.errors import BadRequest, DomainError, TooLarge
from gateway.http1 import ClientGone
from gateway.spool import Room, Spool

BLOCK = 65536
WITHOUT_BODY = frozenset({"GET", "HEAD"})
EXPECTED = frozenset({"POST", "PUT", "PATCH"})


class RequestTimeout(DomainError):
    status = 408
    code = "request_timeout"


@dataclass(frozen=True, slots=True)
class Patience:
    """With a client that sends a body: seconds for each block and for the whole, and the least bytes a second."""

    block: float
    whole: float
    least_speed: int


class RequestBody:
    """`fields` describe it to the service. What comes with a GET or HEAD means nothing (RFC 9110 section 9.3)."""

    __slots__ = ("_began", "_environ", "_limit", "_patience", "_spool", "fields", "first")

    def __init__(self, environ: dict[str, Any], limit: int, patience: Patience, room: Room) -> None:
        """Raises TooLarge, RequestTimeout, Unavailable, BadRequest for malformed chunks, and ClientGone."""
        self._environ = environ
        self._limit = limit
        self._patience = patience
        self._spool = Spool(room)
        self._began = 0.0
        self.first = b""
        self.fields: list[tuple[str, str]] = []
        method = environ["REQUEST_METHOD"]
        if method in WITHOUT_BODY:
            return
        if is_declared(environ):
            self._receive()
            self.fields.append(("Content-Length", str(self._spool.size)))
        elif method in EXPECTED:
            self.fields.append(("Content-Length", "0"))

    def rest(self) -> Iterator[bytes]:
        """What follows `first`; from the beginning each time it is asked for."""
        at = len(self.first)
        while at < self._spool.size:
            block = self._spool.read(at)
            at += len(block)
            yield block

    def close(self) -> None:
        self._spool.close()

    def _receive(self) -> None:
        self._began = time.monotonic()
        length = self._environ.get("CONTENT_LENGTH")
        try:
            if length:
                self._receive_sized(int(length))
            else:
                self._receive_chunked()
        except BaseException:
            self.close()
            raise
        self._environ["gateway.body_unread"] = False
        self.first = self._spool.read(0)

    def _receive_sized(self, length: int) -> None:
        self._refuse_over(length)
        if length:
            _send_continue(self._environ)
        while left := length - self._spool.size:
            if not self._take(min(left, BLOCK)):
                raise ClientGone

    def _receive_chunked(self) -> None:
        _send_continue(self._environ)
        while self._take(min(BLOCK, self._limit - self._spool.size + 1)):
            self._refuse_over(self._spool.size)

    def _take(self, size: int) -> int:
        """How many bytes came; none at the end."""
        self._refuse_slow()
        try:
            with Timeout(self._patience.block, RequestTimeout("The request body came too slowly.")):
                block: bytes = self._environ["wsgi.input"].read(size)
        except ParseException:
            raise BadRequest("The request body is not properly chunked.") from None
        except (NoMoreData, ConnectionError):
            raise ClientGone from None
        self._spool.append(block)
        return len(block)

    def _refuse_slow(self) -> None:
        taken = time.monotonic() - self._began
        due = (taken - self._patience.block) * self._patience.least_speed
        if taken > self._patience.whole or self._spool.size < due:
            raise RequestTimeout("The request body came too slowly.")

    def _refuse_over(self, size: int) -> None:
        if size > self._limit:
            raise TooLarge(f"A request body may have {self._limit} bytes here.")


def is_declared(environ: dict[str, Any]) -> bool:
    """Whether a body follows the request's head (RFC 9112 section 6.3)."""
    return environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


def _send_continue(environ: dict[str, Any]) -> None:
    """Only now: a client that waits for it has not sent its body to a request that was refused before."""
    if send := environ.get("gateway.send_continue"):
        send()
