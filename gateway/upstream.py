"""One service behind the gateway: its pooled connections, its circuit, and what may be tried twice."""

from __future__ import annotations

import random
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
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
    Unread,
    UpstreamFault,
    request_head,
)

IDLE_SECONDS = 55.0
"""Less than the services' own keep-alive time, so that it is us who let an idle connection go."""
IDLE_CONNECTIONS = 64
LIFE_SECONDS = (20.0, 40.0)
"""A connection is given up after a time between these, so that a replica that joins gets its share soon."""
MOST_USES = 1000
CONNECT_TRIES = 3
CONNECT_PAUSE_SECONDS = 0.05
SMALL_BODY = 65536
"""An answer of at most so many bytes is read at once."""
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
    """A request to a service. `body` is its beginning, and `rest` gives what follows, each time it is called.

    `may_switch`: its fields ask for another protocol, and the service may agree. `is_idempotent`: the service knows
    the request again (by its Idempotency-Key) when it comes twice.
    """

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    rest: Callable[[], Iterable[bytes]] | None = None
    client: socket.socket | None = field(default=None, repr=False)
    may_switch: bool = False
    is_idempotent: bool = False

    @property
    def is_repeatable(self) -> bool:
        return self.method in REPEATABLE


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
            self._whole = b"".join(connection.blocks(head.length))
            self._release()

    @property
    def is_whole(self) -> bool:
        """Whether all of it is here, and the service has its connection back."""
        return self._whole is not None

    def __iter__(self) -> Iterator[bytes]:
        if self._whole is not None:
            yield self._whole
        elif self._connection is not None:
            yield from self._connection.blocks(self.head.length)
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
            self._upstream.give_back(connection)

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
            self._note(fault)
            raise self._as_problem(fault) from None
        self._circuit.succeeded()
        return answer

    def _note(self, fault: UpstreamFault) -> None:
        """A body that a service did not want is the client's doing: it says nothing of the service's health."""
        if not isinstance(fault, Unread):
            self._circuit.failed()
        log.warning("upstream_fault", upstream=self.name, fault=type(fault).__name__, detail=str(fault))

    def _as_problem(self, fault: UpstreamFault) -> DomainError:
        if isinstance(fault, NotConnected):
            return Unavailable(f"The {self.name} service cannot be reached.", retry_after=1)
        if isinstance(fault, Silent):
            return GatewayTimeout(f"The {self.name} service did not answer in time.")
        return BadGateway(f"The {self.name} service gave no proper answer.")

    def _try(self, request: Forwarded) -> Answer:
        """A read is asked once more, on a new connection, when the first one broke; anything else is sent once.

        But for what the service would know again, if a connection that had been kept ends before it says anything:
        most likely the service had let go of it in the same moment.
        """
        kept = self._take()
        try:
            return self._exchange(kept or self._connect(), request)
        except Dropped:
            if not (request.is_repeatable or (request.is_idempotent and kept)):
                raise
        return self._exchange(self._connect(), request)

    def _exchange(self, connection: Connection, request: Forwarded) -> Answer:
        try:
            connection.serve(request.client)
            connection.patience = self._timeouts.answer
            head = self._asked(connection, request)
            connection.patience = self._timeouts.idle
            return Answer(self, connection, head)
        except BaseException:
            connection.close()
            raise

    def _asked(self, connection: Connection, request: Forwarded) -> Head:
        head = request_head(request.method, request.target, self._authority, request.fields)
        was_taken = connection.send(head + request.body, request.rest() if request.rest else ())
        try:
            answer = connection.read_head(request.method, may_switch=request.may_switch)
        except Dropped as fault:
            raise (fault if was_taken or not request.body else Unread(str(fault))) from None
        if not was_taken:
            connection.expires_at = 0.0
        return answer

    def _connect(self) -> Connection:
        """Nothing was sent on a connection that was refused, so anything may be tried on another one."""
        for _ in range(CONNECT_TRIES - 1):
            try:
                return self._open()
            except NotConnected:
                time.sleep(CONNECT_PAUSE_SECONDS)
        return self._open()

    def _open(self) -> Connection:
        return Connection(self._address, self._timeouts.connect, random.uniform(*LIFE_SECONDS))  # noqa: S311

    def _take(self) -> Connection | None:
        """The one used longest ago, so that all get their share; none that is old or that the service closed."""
        now = time.monotonic()
        while self._idle:
            connection = self._idle.popleft()
            if connection.used_at > now - IDLE_SECONDS and connection.expires_at > now and connection.is_fresh():
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection) -> None:
        is_spent = connection.used >= MOST_USES or connection.expires_at < time.monotonic()
        if is_spent or not connection.is_reusable() or len(self._idle) >= IDLE_CONNECTIONS:
            connection.close()
            return
        connection.serve(None)
        connection.used_at = time.monotonic()
        self._idle.append(connection)
