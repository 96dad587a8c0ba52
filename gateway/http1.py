"""HTTP/1.1 towards a service (RFC 9112): one connection, the request that goes over it, and the answer that comes back.

Answers are read by httptools. The sockets are plain ones, because forwarding is the hot path of everything: ADR 8.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

BLOCK = 65536
HEAD_LIMIT = 65536
SWITCHING = 101
QUIET_SECONDS = 1.0
BLOCKS_PER_TURN = 16

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)


class UpstreamFault(Exception):
    """A service did not answer as a service should."""


class NotConnected(UpstreamFault):
    """No connection could be made, so nothing was sent."""


class Dropped(UpstreamFault):
    """The connection ended before the answer did."""


class Unread(Dropped):
    """The service closed the connection while the body was still being sent, and its answer did not arrive."""


class Garbled(UpstreamFault):
    """What came is not HTTP/1.1, or could be read in two ways."""


class Silent(UpstreamFault):
    """Nothing came for as long as we wait."""


class ClientGone(Exception):
    """The client has left; there is nobody to answer."""


@dataclass(slots=True)
class Head:
    """An answer without its body. `length` is None for a chunked body and -1 for one that ends the connection."""

    status: int
    reason: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    length: int | None = -1
    persistent: bool = True


class _Incoming:
    """What the parser tells of one answer; interim ones (1xx) are passed over."""

    __slots__ = (
        "blocks",
        "fields",
        "has_head",
        "has_surplus",
        "is_complete",
        "is_persistent",
        "parser",
        "reason",
        "seen",
        "status",
    )

    def __init__(self) -> None:
        self.parser: Any = HttpResponseParser(self)
        self.status = 0
        self.reason = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.blocks: list[bytes] = []
        self.seen = 0
        self.has_head = self.is_complete = self.is_persistent = self.has_surplus = False

    def feed(self, data: bytes) -> bytes:
        """Gives back what follows an answer that switches protocols. Raises Garbled."""
        self.seen += len(data)
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as switched:
            return data[switched.args[0] :]
        except HttpParserError as error:
            if not self.is_complete:
                raise Garbled(str(error)) from None
            self.has_surplus = True
        if not self.has_head and self.seen > HEAD_LIMIT:
            raise Garbled("head too long")
        return b""

    def on_message_begin(self) -> None:
        self.has_surplus = self.is_complete
        if not self.is_complete:
            self.reason, self.fields = b"", []

    def on_status(self, reason: bytes) -> None:
        if not self.has_head:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if not self.has_head and (status >= 200 or status == SWITCHING):
            self.status, self.has_head = status, True
            self.is_persistent = self.parser.should_keep_alive()

    def on_body(self, block: bytes) -> None:
        if not self.is_complete:
            self.blocks.append(block)

    def on_message_complete(self) -> None:
        self.is_complete = self.is_complete or self.has_head


class Connection:
    """A socket to a service, and the answer that is being read from it."""

    __slots__ = (
        "_beyond",
        "_client",
        "_incoming",
        "_is_bodyless",
        "_socket",
        "expires_at",
        "patience",
        "used",
        "used_at",
    )

    def __init__(self, address: tuple[str, int], connect_seconds: float, lifetime: float = float("inf")) -> None:
        """`lifetime` in seconds: the connection is not used again after it."""
        try:
            self._socket = socket.create_connection(address, connect_seconds)
        except OSError as error:
            raise NotConnected(type(error).__name__) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming = _Incoming()
        self._is_bodyless = False
        self._beyond = b""
        self._client: socket.socket | None = None
        self.patience = connect_seconds
        self.used = 0
        self.used_at = time.monotonic()
        self.expires_at = self.used_at + lifetime

    def close(self) -> None:
        self._incoming.parser = None  # the parser holds it in turn
        self._socket.close()

    def serve(self, client: socket.socket | None) -> None:
        """From now on work for this client, and stop waiting when it leaves."""
        self._client = client

    def is_fresh(self) -> bool:
        """Whether the other side has kept the connection open, with nothing unasked for on it."""
        self._socket.settimeout(0.0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def send(self, head: bytes, body: Iterable[bytes] = ()) -> bool:
        """Whether all of it was taken: a service may answer before it has read the body, and need not read the rest."""
        taken = self._send(head)
        for block in body:
            if not taken or self._has_answer():
                return False
            taken = self._send(block)
        return taken

    def _send(self, data: bytes) -> bool:
        self._socket.settimeout(self.patience)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise Silent from None
        except OSError:
            return False
        return True

    def _has_answer(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def read_head(self, method: str, *, may_switch: bool = False) -> Head:
        """The final answer's head. Raises Dropped, Silent, Garbled and ClientGone."""
        self._incoming.parser = None
        self._incoming = incoming = _Incoming()
        self.used += 1
        while not incoming.has_head:
            self._beyond = incoming.feed(self._receive())
        if incoming.status == SWITCHING and not may_switch:
            raise Garbled("switched protocols unasked")
        self._is_bodyless = method == "HEAD"
        return _head(incoming, bodyless=self._is_bodyless)

    def blocks(self, length: int | None) -> Iterator[bytes]:
        """The body as it comes; other clients get their turn in between."""
        incoming = self._incoming
        if length == 0:
            return
        if not incoming.blocks:
            yield b""  # lets the head go out before there is any body
        count = 0
        while True:
            blocks, incoming.blocks = incoming.blocks, []
            for block in blocks:
                count += 1
                if count % BLOCKS_PER_TURN == 0:
                    time.sleep(0)
                yield block
            if incoming.is_complete or not self._receive_more(length):
                return

    def _receive_more(self, length: int | None) -> bool:
        try:
            self._incoming.feed(self._receive())
        except Dropped:
            if length == -1:
                return False
            raise
        return True

    def is_reusable(self) -> bool:
        """Whether the answer was read to its end, and nothing came behind it."""
        incoming = self._incoming
        if self._is_bodyless:
            return incoming.is_persistent and not incoming.blocks and not incoming.has_surplus
        return incoming.is_complete and incoming.is_persistent and not incoming.has_surplus

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """The bare socket, and what was read ahead from it: what follows is no HTTP."""
        self._incoming.parser = None
        return self._socket, self._beyond

    def _receive(self) -> bytes:
        """A read that costs one system call when data is near, and minds the client when it is not."""
        quiet = min(QUIET_SECONDS, self.patience)
        self._socket.settimeout(quiet)
        try:
            return self._received()
        except TimeoutError:
            self._wait_for_either(self.patience - quiet)
        return self._received()

    def _received(self) -> bytes:
        try:
            data = self._socket.recv(BLOCK)
        except TimeoutError:
            raise
        except OSError as error:
            raise Dropped(type(error).__name__) from None
        if not data:
            raise Dropped("connection closed")
        return data

    def _wait_for_either(self, seconds: float) -> None:
        """Until the service says something. Raises ClientGone when the client leaves first, Silent after `seconds`."""
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if self._client is not None:
            poll.register(self._client, select.POLLIN)
        while (remaining := deadline - time.monotonic()) > 0:
            ready = dict(poll.poll(remaining * 1000))
            if self._socket.fileno() in ready:
                return
            if ready and self._client is not None:
                _raise_if_gone(self._client)
                poll.unregister(self._client)  # it has sent the next request already, and may wait
        raise Silent


def _raise_if_gone(client: socket.socket) -> None:
    try:
        if client.recv(1, socket.MSG_PEEK):
            return
    except OSError:
        pass
    raise ClientGone


def request_head(method: str, target: str, authority: str, fields: list[tuple[str, str]]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields])
    return f"{method} {target} HTTP/1.1\r\nHost: {authority}\r\n{lines}\r\n".encode("latin-1")


def parse_head(data: bytes, method: str) -> Head:
    """Of a whole answer's beginning. Raises Garbled for a head that is not exactly in form (RFC 9112 sections 4, 5)."""
    incoming = _Incoming()
    incoming.feed(data)
    if not incoming.has_head:
        raise Garbled("no whole head")
    incoming.parser = None
    return _head(incoming, bodyless=method == "HEAD")


def _head(incoming: _Incoming, *, bodyless: bool) -> Head:
    """End-to-end fields stay; those about this connection are obeyed and left out (RFC 9110 section 7.6.1)."""
    head = Head(incoming.status, incoming.reason.decode("latin-1"), persistent=incoming.is_persistent)
    length, coding, options = None, "", ""
    for raw_name, raw_value in incoming.fields:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        key = name.lower()
        if key == "content-length":
            length = int(value)
        elif key == "transfer-encoding":
            coding += value.strip().lower()
        elif key == "connection":
            options += f",{value}"
        if key not in HOP_BY_HOP:
            head.fields.append((name, value))
    named = {each.strip().lower() for each in options.split(",")} - {"close", "keep-alive", ""}
    if named:
        head.fields = [each for each in head.fields if each[0].lower() not in named]
    head.length = _length(head.status, length, coding, bodyless=bodyless)
    return head


def _length(status: int, length: int | None, coding: str, *, bodyless: bool) -> int | None:
    """RFC 9112 section 6.3; that no field contradicts another is seen to by the parser."""
    if coding not in ("", "chunked"):
        raise Garbled("unknown transfer coding")
    if bodyless or status in (204, 304) or status < 200:
        return 0
    if coding:
        return None
    return -1 if length is None else length
