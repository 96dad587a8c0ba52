"""HTTP/1.1 towards a service (RFC 9112): one connection, the heads that go over it, and the body that comes back.

Written on plain sockets because forwarding is the hot path of everything: see benchmarks/README.md.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

BLOCK = 65536
HEAD_LIMIT = 65536
LINE_LIMIT = 8190
SWITCHING = 101
QUIET_SECONDS = 1.0
BLOCKS_PER_TURN = 16

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_FIELD = r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)\r\n"
_FIELDS = re.compile(_FIELD)
_ONLY_FIELDS = re.compile(rf"(?:{_FIELD})*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL

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


class Garbled(UpstreamFault):
    """What came is not HTTP/1.1, or could be read in two ways."""


class Silent(UpstreamFault):
    """Nothing came for as long as we wait."""


class ClientGone(Exception):
    """The client has left; there is nobody to answer."""


@dataclass(slots=True)
class Head:
    """A response without its body. `length` is None for a chunked body and -1 for one that ends the connection."""

    status: int
    reason: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    length: int | None = -1
    persistent: bool = True


class Connection:
    """A socket with what was read ahead from it."""

    __slots__ = ("_at", "_buffer", "_client", "_socket", "patience", "used_at")

    def __init__(self, address: tuple[str, int], connect_seconds: float) -> None:
        try:
            self._socket = socket.create_connection(address, connect_seconds)
        except OSError as error:
            raise NotConnected(type(error).__name__) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._at = 0
        self._client: socket.socket | None = None
        self.patience = connect_seconds
        self.used_at = time.monotonic()

    def close(self) -> None:
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

    def send(self, data: bytes) -> None:
        self._socket.settimeout(self.patience)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise Silent from None
        except OSError as error:
            raise Dropped(type(error).__name__) from None

    def read_head(self, method: str, *, may_switch: bool = False) -> Head:
        """The final response's head; interim ones (1xx) are passed over."""
        while True:
            head = parse_head(self._read_head_text(), method)
            if head.status == SWITCHING:
                if may_switch:
                    return head
                raise Garbled("switched protocols unasked")
            if head.status >= 200:
                return head

    def _read_head_text(self) -> str:
        while (end := self._buffer.find(b"\r\n\r\n", self._at)) < 0:
            if len(self._buffer) - self._at > HEAD_LIMIT:
                raise Garbled("head too long")
            self._fill()
            if not b"HTTP/1.".startswith(self._buffer[self._at : self._at + 7]):
                raise Garbled("not HTTP/1")
        text = self._buffer[self._at : end + 2].decode("latin-1")
        self._at = end + 4
        return text

    def read_line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n", self._at)) < 0:
            if len(self._buffer) - self._at > LINE_LIMIT:
                raise Garbled("line too long")
            self._fill()
        line = self._buffer[self._at : end]
        self._at = end + 2
        return line

    def read_some(self, most: int = BLOCK) -> bytes:
        """At least one byte and at most `most`."""
        if self._at >= len(self._buffer):
            self._fill()
        block = self._buffer[self._at : self._at + most]
        self._at += len(block)
        return block

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """The bare socket, and what was read ahead from it: what follows is no HTTP."""
        return self._socket, self._buffer[self._at :]

    def has_buffered(self) -> bool:
        return self._at < len(self._buffer)

    def _fill(self) -> None:
        data = self._receive()
        if not data:
            raise Dropped("connection closed")
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def _receive(self) -> bytes:
        """A read that costs one system call when data is near, and minds the client when it is not."""
        quiet = min(QUIET_SECONDS, self.patience)
        self._socket.settimeout(quiet)
        try:
            return self._socket.recv(BLOCK)
        except TimeoutError:
            self._wait_for_either(self.patience - quiet)
        except OSError as error:
            raise Dropped(type(error).__name__) from None
        try:
            return self._socket.recv(BLOCK)
        except OSError as error:
            raise Dropped(type(error).__name__) from None

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


def parse_head(text: str, method: str) -> Head:
    """Raises Garbled for a head that is not exactly in form (RFC 9112 sections 4 and 5)."""
    line, _, rest = text.partition("\r\n")
    status = _STATUS_LINE.fullmatch(line)
    if status is None or not _ONLY_FIELDS.fullmatch(rest):
        raise Garbled("malformed head")
    head = Head(int(status[2]), status[3] or "", persistent=status[1] == "1")
    _sort_fields(head, _FIELDS.findall(rest), bodyless=method == "HEAD" or head.status in (204, 304))
    return head


def _sort_fields(head: Head, fields: list[tuple[str, str]], *, bodyless: bool) -> None:
    """End-to-end fields stay; those about this connection are obeyed and left out (RFC 9110 section 7.6.1)."""
    lengths, codings, options = [], [], []
    for name, value in fields:
        key = name.lower()
        if key == "content-length":
            lengths.append(value.strip())
        elif key == "transfer-encoding":
            codings.append(value.strip().lower())
        elif key == "connection":
            options += [each.strip().lower() for each in value.split(",")]
        if key not in HOP_BY_HOP:
            head.fields.append((name, value))
    head.persistent = "close" not in options and (head.persistent or "keep-alive" in options)
    named = set(options) - {"close", "keep-alive", ""}
    if named:
        head.fields = [each for each in head.fields if each[0].lower() not in named]
    _set_length(head, lengths, codings, bodyless=bodyless)


def _set_length(head: Head, lengths: list[str], codings: list[str], *, bodyless: bool) -> None:
    """RFC 9112 section 6.3."""
    if len(lengths) > 1 or (lengths and codings) or codings not in ([], ["chunked"]):
        raise Garbled("ambiguous length")
    if lengths and not (lengths[0].isascii() and lengths[0].isdigit()):
        raise Garbled("malformed length")
    if bodyless or head.status < 200:
        head.length = 0
    elif codings:
        head.length = None
    elif lengths:
        head.length = int(lengths[0])
    else:
        head.length, head.persistent = -1, False


def blocks(connection: Connection, length: int | None) -> Iterator[bytes]:
    """The body as it comes; other clients get their turn in between."""
    if length == 0:
        return
    if not connection.has_buffered():
        yield b""  # lets the head go out before there is any body
    source = _chunked(connection) if length is None else _fixed(connection, length) if length > 0 else _rest(connection)
    for count, block in enumerate(source):
        if count % BLOCKS_PER_TURN == BLOCKS_PER_TURN - 1:
            time.sleep(0)
        yield block


def _fixed(connection: Connection, length: int) -> Iterator[bytes]:
    while length:
        block = connection.read_some(length)
        length -= len(block)
        yield block


def _chunked(connection: Connection) -> Iterator[bytes]:
    while size := _chunk_size(connection.read_line()):
        while size:
            block = connection.read_some(size)
            size -= len(block)
            yield block
        if connection.read_line():
            raise Garbled("chunk longer than announced")
    while connection.read_line():
        pass  # trailers, which nobody asked for


def _chunk_size(line: bytes) -> int:
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise Garbled("malformed chunk size")
    return int(match[1], 16)


def _rest(connection: Connection) -> Iterator[bytes]:
    while True:
        try:
            yield connection.read_some()
        except Dropped:
            return
