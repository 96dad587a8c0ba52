"""Services that behave as a test wants them to, down to the bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import orjson

OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Exchange:
    """One request that arrived, and the connection to answer it on."""

    connection: socket.socket
    method: str
    target: str
    fields: list[tuple[str, str]]
    buffered: bytes
    left: threading.Event = field(default_factory=threading.Event)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def read(self, size: int) -> bytes:
        while len(self.buffered) < size:
            data = self.connection.recv(65536)
            if not data:
                raise ConnectionError("closed in the middle of the body")
            self.buffered += data
        data, self.buffered = self.buffered[:size], self.buffered[size:]
        return data

    def read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.read(1)
        return line[:-2]

    def body(self) -> bytes:
        if self.all("Transfer-Encoding"):
            return b"".join(self.chunks())
        return self.read(int((self.all("Content-Length") or ["0"])[0]))

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.read_line(), 16):
            yield self.read(size)
            self.read_line()
        self.read_line()

    def send(self, *parts: bytes) -> None:
        self.connection.sendall(b"".join(parts))

    def answer(self, body: bytes = b"", status: bytes = b"200 OK", fields: bytes = b"") -> None:
        length = b"Content-Length: %d\r\n" % len(body)
        self.send(b"HTTP/1.1 %b\r\nServer: stand-in\r\n%b%b\r\n" % (status, length, fields), body)

    def echo(self) -> None:
        body = self.body()
        seen = {"method": self.method, "target": self.target, "fields": self.fields, "body": body.decode("latin-1")}
        self.answer(orjson.dumps(seen), fields=b"Content-Type: application/json\r\n")

    def wait_until_left(self, seconds: float = 5.0) -> bool:
        """Whether the other side closes the connection in time."""
        self.connection.settimeout(seconds)
        with suppress(ConnectionError):
            try:
                return self.connection.recv(1) == b""
            except TimeoutError:
                return False
        return True


Behaviour = Callable[[Exchange], None]


class StandIn:
    """Answers each target with what `on` said for it, otherwise with an echo; a keep-alive server of threads."""

    def __init__(self, port: int = 0) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.seen: list[Exchange] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, target: str, behaviour: Behaviour) -> None:
        self.behaviours[target] = behaviour

    def targets(self) -> list[str]:
        return [exchange.target for exchange in self.seen]

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffered = b""
        with connection, suppress(OSError):
            while exchange := read_request(connection, buffered):
                if not any(agent.startswith("python-requests") for agent in exchange.all("User-Agent")):
                    self.seen.append(exchange)  # what was forwarded, not what the gateway asks for itself
                self.behaviours.get(exchange.target.partition("?")[0], Exchange.echo)(exchange)
                buffered = exchange.buffered


def read_request(connection: socket.socket, buffered: bytes) -> Exchange | None:
    while b"\r\n\r\n" not in buffered:
        data = connection.recv(65536)
        if not data:
            return None
        buffered += data
    head, _, rest = buffered.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ")
    fields = [(name, value.strip()) for name, _, value in (each.partition(":") for each in lines)]
    return Exchange(connection, method, target, fields, rest)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, kept from others."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
