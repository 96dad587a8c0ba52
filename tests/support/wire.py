"""What a client really sends to Postgres, read on its way: BEGIN, COMMIT and SET too, which SQLAlchemy hides."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import make_url

from devstack.tcp_proxy import TcpProxy

HEADER = 5
SIMPLE_QUERY = ord("Q")
PARSE = ord("P")


class Statements(TcpProxy):
    """Forwards connections to a Postgres server, and keeps the text of each statement (protocol version 3)."""

    def __init__(self, host: str, port: int) -> None:
        self._told: list[str] = []
        super().__init__(host, port)

    @contextmanager
    def seen(self) -> Iterator[list[str]]:
        """The statements that are sent while the block runs."""
        self._told = told = []
        yield told
        self._told = []

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        is_client = source.getsockname()[1] == self.port
        super()._pump(_Reading(source, self) if is_client else source, sink)  # type: ignore[arg-type]

    def told(self, text: str) -> None:
        self._told.append(text)


@contextmanager
def through(url: str) -> Iterator[tuple[Statements, str]]:
    """The statements that come by another URL of the same database, and that URL."""
    target = make_url(url)
    assert target.host
    wire = Statements(target.host, target.port or 5432)
    try:
        yield wire, target.set(host="127.0.0.1", port=wire.port).render_as_string(hide_password=False)
    finally:
        wire.cut()


class _Reading:
    """A socket of a client whose bytes are also cut into messages."""

    def __init__(self, source: socket.socket, statements: Statements) -> None:
        self._source, self._statements = source, statements
        self._buffer = b""
        self._has_started = False

    def recv(self, size: int) -> bytes:
        data = self._source.recv(size)
        self._buffer += data
        self._cut()
        return data

    def _cut(self) -> None:
        while len(self._buffer) >= HEADER:
            start = 1 if self._has_started else 0
            length = start + int.from_bytes(self._buffer[start : start + 4])
            if len(self._buffer) < length:
                return
            message, self._buffer = self._buffer[:length], self._buffer[length:]
            if not self._has_started:
                # The first message has no type; a question for TLS or GSS comes before the real one.
                self._has_started = message[4:6] == b"\x00\x03"
            elif message[0] in (SIMPLE_QUERY, PARSE):
                self._statements.told(message[HEADER:].split(b"\x00")[0].decode(errors="replace"))
