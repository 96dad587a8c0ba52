"""WebSockets: which requests may ask for one (RFC 6455 section 4.2.1), and the bytes once a service has agreed.

Nothing is a tunnel before the service's 101. A service that answers anything else is read as HTTP, and so is the
client: no request can be hidden behind an upgrade that did not happen.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent.socket import wait_read

from common.errors import BadRequest, Forbidden
from gateway.problems import Fields

BLOCK = 16_384
BLOCKS_PER_TURN = 16
SEND_SECONDS = 30.0
"""How long a service may take to accept what a client sent."""
UPGRADE_FIELDS: Fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")]


class Upgrades:
    def __init__(self, public_url: str, origins: frozenset[str]) -> None:
        """A page may open a WebSocket to any site, and CORS has no say: so only those of these origins, and our own."""
        self._origins = origins | {public_url}

    def is_asked_for(self, environ: dict[str, Any]) -> bool:
        """Whether it is a WebSocket that is asked for. Raises BadRequest for a poor handshake, and Forbidden."""
        if environ.get("HTTP_UPGRADE", "").strip().lower() != "websocket":
            return False
        options = {each.strip().lower() for each in environ.get("HTTP_CONNECTION", "").split(",")}
        has_body = environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
        is_proper = environ["REQUEST_METHOD"] == "GET" and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        if not is_proper or has_body or "upgrade" not in options or "HTTP_SEC_WEBSOCKET_KEY" not in environ:
            raise BadRequest("This is no proper WebSocket handshake.")
        if not self._is_allowed(environ.get("HTTP_ORIGIN"), environ["HTTP_HOST"]):
            raise Forbidden("Pages of this origin may not open a WebSocket here.")
        return True

    def _is_allowed(self, origin: str | None, host: str) -> bool:
        """No browser omits its origin; some other clients name the host that they ask."""
        if origin is None or origin in self._origins:
            return True
        try:
            return urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:  # such as http://[
            return False


class Tunnel:
    """Bytes both ways until one side ends, or both are silent for `idle_seconds`."""

    def __init__(self, client: socket.socket, service: socket.socket, early: bytes, idle_seconds: float) -> None:
        """`early` has come from the service already."""
        self._client = client
        self._service = service
        self._early = early
        self._idle_seconds = idle_seconds
        self._moved_at = time.monotonic()

    def carry(self, read_ahead: Callable[[], bytes]) -> Iterator[bytes]:
        """The answer's body: nothing but the moment at which its head has to leave; what follows goes past it.

        `read_ahead` gives what the client has sent after its request already.
        """
        try:
            yield b""
            self._run(read_ahead())
        finally:
            self._service.close()

    def _run(self, sent_ahead: bytes) -> None:
        self._service.settimeout(SEND_SECONDS)
        other_way = gevent.spawn(self._copy, sent_ahead, self._client, self._service)
        try:
            self._copy(self._early, self._service, self._client)
        finally:
            _end(self._client)
            other_way.join()

    def _copy(self, first: bytes, source: socket.socket, target: socket.socket) -> None:
        """Until the end of `source`; a side that sends much lets others have their turn."""
        count, block = 0, first
        with suppress(OSError):
            target.sendall(block)
            while block := self._receive(source):
                target.sendall(block)
                count += 1
                if count % BLOCKS_PER_TURN == 0:
                    time.sleep(0)
        _end(target)

    def _receive(self, source: socket.socket) -> bytes:
        """Empty at the end. A side may be silent for as long as the other one is not."""
        while (left := self._moved_at + self._idle_seconds - time.monotonic()) > 0:
            try:
                wait_read(source.fileno(), timeout=left, timeout_exc=TimeoutError())
            except TimeoutError:
                continue
            self._moved_at = time.monotonic()
            return source.recv(BLOCK)
        return b""


def _end(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
