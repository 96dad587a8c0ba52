"""A WebSocket (RFC 6455), read by the greenlet that serves it.

What Engine.IO would use instead has a second greenlet for each connection, takes messages of any length, and
compresses where a client offers it, which is hundreds of KiB for streams whose messages are a line long. Frames are
read by wsproto; what is bounded here is how many there may be, since each costs more to read than to send.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Request, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

BLOCK = 4096
MOST_FRAGMENTS = 64
FRAMES_AT_ONCE = 200
FRAMES_A_SECOND = 20
"""A client that follows orders sends a few frames when it joins, and then one every 25 seconds."""


class NoWebSocket(Exception):
    """The request's handshake is none."""


class WebSocket:
    """Text messages only. `send`, `wait`, `close` and `socket` are the names that Engine.IO knows."""

    def __init__(self, environ: dict[str, Any], longest: int) -> None:
        """`longest` is the most characters of a message. Raises NoWebSocket; nothing is answered yet."""
        self.socket: socket.socket = environ["gunicorn.socket"]
        self.is_open = True
        self._longest = longest
        self._parts: list[str] = []
        self._length = 0
        self._frames_left = float(FRAMES_AT_ONCE)
        self._counted_at = monotonic()
        self._messages: deque[str] = deque()
        self._sending = threading.Lock()
        self._protocol = WSConnection(ConnectionType.SERVER)
        try:
            self._protocol.initiate_upgrade_connection(_fields(environ), environ["PATH_INFO"])
            is_wanted = any(isinstance(event, Request) for event in self._protocol.events())
        except (RemoteProtocolError, LocalProtocolError):
            is_wanted = False
        if not is_wanted:
            raise NoWebSocket

    def accept(self) -> None:
        """Answer the handshake. Raises OSError."""
        self._send(AcceptConnection())

    def send(self, message: str) -> None:
        """Raises OSError when the client has left, or takes nothing for longer than the socket's time-out."""
        try:
            self._send(TextMessage(message))
        except LocalProtocolError:
            raise ConnectionAbortedError from None

    def wait(self) -> str | None:
        """The next message; None when there will be no more."""
        while not self._messages and self.is_open:
            self._read()
            sleep(0)  # others have their turn, however much this client sends
        return self._messages.popleft() if self._messages else None

    def close(self, reason: CloseReason = CloseReason.GOING_AWAY) -> None:
        """At once, with a word to the client if that does not have to wait."""
        self.is_open = False
        if self._sending.acquire(blocking=False):
            with suppress(OSError, LocalProtocolError):
                self.socket.sendall(self._protocol.send(CloseConnection(reason)))
            self._sending.release()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        try:
            data = self.socket.recv(BLOCK)
            if not data:
                raise ConnectionAbortedError
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                self._take(event)
                if not self.is_open:
                    break
        except OSError:
            self.close()
        except (RemoteProtocolError, LocalProtocolError):
            self.close(CloseReason.PROTOCOL_ERROR)

    def _take(self, event: Event) -> None:
        if not self._is_within_share():
            self.close(CloseReason.POLICY_VIOLATION)
        elif isinstance(event, TextMessage):
            self._take_text(event)
        elif isinstance(event, Ping):
            self._send(event.response())
        elif isinstance(event, CloseConnection):
            self._send(event.response())
            self.close()
        elif isinstance(event, BytesMessage):
            self.close(CloseReason.UNSUPPORTED_DATA)

    def _is_within_share(self) -> bool:
        """Whether this client leaves the others their time: a bucket of frames that fills again slowly."""
        now = monotonic()
        refilled = self._frames_left + (now - self._counted_at) * FRAMES_A_SECOND
        self._frames_left, self._counted_at = min(refilled, FRAMES_AT_ONCE) - 1, now
        return self._frames_left >= 0

    def _take_text(self, event: TextMessage) -> None:
        self._parts.append(event.data)
        self._length += len(event.data)
        if self._length > self._longest or len(self._parts) > MOST_FRAGMENTS:
            self._begin_message()
            self.close(CloseReason.MESSAGE_TOO_BIG)
        elif event.message_finished:
            self._messages.append("".join(self._parts))
            self._begin_message()

    def _begin_message(self) -> None:
        self._parts.clear()
        self._length = 0

    def _send(self, event: Event) -> None:
        with self._sending:
            self.socket.sendall(self._protocol.send(event))


def _fields(environ: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [
        (key[5:].replace("_", "-").encode("latin-1"), str(value).encode("latin-1"))
        for key, value in environ.items()
        if key.startswith("HTTP_")
    ]
