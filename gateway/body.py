"""The request body: bounded in size and in time, and read from the client while it is sent on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gevent import Timeout
from gunicorn.http.errors import NoMoreData, ParseException

from common.errors import BadRequest, DomainError, TooLarge
from gateway.http1 import ClientGone

BLOCK = 65536
"""What fits in one block is awaited before a service is bothered with the request at all: a slow client then holds a
greenlet of ours, not one of the service's few threads."""


class RequestTimeout(DomainError):
    status = 408
    code = "request_timeout"


class RequestBody:
    """`first` is the body's beginning; `rest`, if not None, the framed remainder; `fields` describe them both."""

    __slots__ = ("_block_seconds", "_environ", "_left", "_limit", "_seen", "fields", "first", "rest")

    def __init__(self, environ: dict[str, Any], limit: int, block_seconds: float) -> None:
        """`block_seconds` is the time for each block, which sets the least speed.

        Raises TooLarge, RequestTimeout, BadRequest for malformed chunks, and ClientGone.
        """
        self._environ = environ
        self._limit = limit
        self._block_seconds = block_seconds
        self._seen = 0
        self.fields: list[tuple[str, str]] = []
        self.first = b""
        self.rest: Iterator[bytes] | None = None
        length = environ.get("CONTENT_LENGTH")
        if length:
            self._begin_sized(int(length))
        elif environ.get("HTTP_TRANSFER_ENCODING"):
            self._begin_chunked()
        elif environ["REQUEST_METHOD"] in ("POST", "PUT", "PATCH"):
            self.fields.append(("Content-Length", "0"))

    def _begin_sized(self, length: int) -> None:
        self._refuse_over(length)
        self._left = length
        self.fields.append(("Content-Length", str(length)))
        if length:
            _send_continue(self._environ)
            self.first = self._read(min(length, BLOCK))
        if self._left:
            self.rest = self._sized_rest()

    def _begin_chunked(self) -> None:
        self._left = -1
        _send_continue(self._environ)
        self.first = self._read(BLOCK)
        if len(self.first) < BLOCK:
            self.fields.append(("Content-Length", str(len(self.first))))
            return
        self.fields.append(("Transfer-Encoding", "chunked"))
        self.first = _as_chunk(self.first)
        self.rest = self._chunked_rest()

    def _sized_rest(self) -> Iterator[bytes]:
        while self._left:
            yield self._read(min(self._left, BLOCK))

    def _chunked_rest(self) -> Iterator[bytes]:
        while block := self._read(BLOCK):
            yield _as_chunk(block)
        yield b"0\r\n\r\n"

    def _read(self, size: int) -> bytes:
        self._environ["gateway.body_unread"] = True  # until it is read: the connection ends if that fails
        size = min(size, self._limit - self._seen + 1)
        try:
            with Timeout(self._block_seconds, RequestTimeout("The request body came too slowly.")):
                block: bytes = self._environ["wsgi.input"].read(size)
        except ParseException:
            raise BadRequest("The request body is not properly chunked.") from None
        except (NoMoreData, ConnectionError):
            raise ClientGone from None
        self._seen += len(block)
        self._refuse_over(self._seen)
        if self._left >= 0:
            self._left -= len(block)
            if len(block) < size:
                raise ClientGone
        self._environ["gateway.body_unread"] = False
        return block

    def _refuse_over(self, size: int) -> None:
        if size > self._limit:
            self._environ["gateway.body_unread"] = True
            raise TooLarge(f"A request body may have {self._limit} bytes.")


def _as_chunk(block: bytes) -> bytes:
    return b"%X\r\n%b\r\n" % (len(block), block)


def _send_continue(environ: dict[str, Any]) -> None:
    """Only now: a client that waits for it has not sent its body to a request that was refused before."""
    if send := environ.get("gateway.send_continue"):
        send()
