"""One service behind the gateway: its pooled connections, its circuit, and what may be tried twice."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from common.errors import BadGateway, DomainError, GatewayTimeout, Unavailable
from common.telemetry import get_logger
from gateway.circuit import Circuit
from gateway.http1 import (
    SWITCHING,
    Connection,
    Dropped,
    Head,
    NotConnected,
    Silent,
    UpstreamFault,
    blocks,
    request_head,
)

IDLE_SECONDS = 55.0
"""Less than the services' own keep-alive time, so that it is us who let an idle connection go."""
IDLE_CONNECTIONS = 64
SMALL_BODY = 65536
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect, until the answer begins, and between two pieces of its body."""

    connect: float
    answer: float
    idle: float


@dataclass(slots=True)
class Forwarded:
    """A request to a service. `rest` is what follows `body` and is read from the client while it is sent.

    `may_switch`: its fields ask for another protocol, and the service may agree.
    """

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    rest: Iterator[bytes] | None = None
    client: socket.socket | None = field(default=None, repr=False)
    may_switch: bool = False

    @property
    def is_repeatable(self) -> bool:
        return self.method in REPEATABLE and self.rest is None


class Answer:
    """A service's answer; iterating reads its body from the connection, closing gives the connection back."""

    def __init__(self, upstream: Upstream, connection: Connection, head: Head) -> None:
        self.head = head
        self._upstream = upstream
        self._connection: Connection | None = connection
        self._whole: bytes | None = None
        if head.status == SWITCHING:
            return
        if head.length is not None and 0 <= head.length <= SMALL_BODY:
            self._whole = b"".join(blocks(connection, head.length))
            self._release()

    def __iter__(self) -> Iterator[bytes]:
        if self._whole is not None:
            yield self._whole
        elif self._connection is not None:
            yield from blocks(self._connection, self.head.length)
            self._release()

    def hand_over(self) -> tuple[socket.socket, bytes]:
        """Of a service that has switched protocols: the connection, now the caller's, and what came on it already."""
        connection, self._connection = self._connection, None
        if connection is None:
            raise RuntimeError("the connection was let go")
        return connection.hand_over()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._upstream.give_back(connection, reusable=self.head.persistent)

    def close(self) -> None:
        """Without effect on a body that was read to its end; otherwise the service learns that nobody listens."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Upstream:
    def __init__(self, name: str, url: str, timeouts: Timeouts) -> None:
        parts = urlsplit(url)
        self.name = name
        self._address = (parts.hostname or "", parts.port or 80)
        self._authority = parts.netloc
        self._timeouts = timeouts
        self._idle: deque[Connection] = deque()
        self._circuit = Circuit(name)

    def send(self, request: Forwarded) -> Answer:
        """The service's answer. Raises Unavailable, BadGateway or GatewayTimeout when there is none."""
        self._circuit.check()
        try:
            answer = self._try(request)
        except UpstreamFault as fault:
            self._circuit.failed()
            log.warning("upstream_fault", upstream=self.name, fault=type(fault).__name__, detail=str(fault))
            raise self._as_problem(fault) from None
        self._circuit.succeeded()
        return answer

    def _as_problem(self, fault: UpstreamFault) -> DomainError:
        if isinstance(fault, NotConnected):
            return Unavailable(f"The {self.name} service cannot be reached.", retry_after=1)
        if isinstance(fault, Silent):
            return GatewayTimeout(f"The {self.name} service did not answer in time.")
        return BadGateway(f"The {self.name} service gave no proper answer.")

    def _try(self, request: Forwarded) -> Answer:
        """A read is asked once more, on a new connection, when the first one broke; anything else is sent once."""
        try:
            return self._exchange(self._take() or self._connect(), request)
        except Dropped:
            if not request.is_repeatable:
                raise
        return self._exchange(self._connect(), request)

    def _exchange(self, connection: Connection, request: Forwarded) -> Answer:
        try:
            connection.serve(request.client)
            connection.patience = self._timeouts.answer
            sent = self._transmit(connection, request)
            head = connection.read_head(request.method, may_switch=request.may_switch)
            head.persistent = head.persistent and sent
            connection.patience = self._timeouts.idle
            return Answer(self, connection, head)
        except BaseException:
            connection.close()
            raise

    def _transmit(self, connection: Connection, request: Forwarded) -> bool:
        """Whether all of it was taken: a service may refuse a body half-way, and its answer still counts."""
        head = request_head(request.method, request.target, self._authority, request.fields)
        connection.send(head + request.body)
        try:
            for block in request.rest or ():
                connection.send(block)
        except Dropped:
            return False
        return True

    def _connect(self) -> Connection:
        return Connection(self._address, self._timeouts.connect)

    def _take(self) -> Connection | None:
        """The connection used last, so that those not needed grow old; never one that the service has closed."""
        oldest = time.monotonic() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.used_at > oldest and connection.is_fresh():
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection, *, reusable: bool) -> None:
        if not reusable or connection.has_buffered() or len(self._idle) >= IDLE_CONNECTIONS:
            connection.close()
            return
        connection.serve(None)
        connection.used_at = time.monotonic()
        self._idle.append(connection)
        if self._idle[0].used_at < connection.used_at - IDLE_SECONDS:
            self._idle.popleft().close()
