"""What thousands of open streams cost, whether they hold others up, and how soon an update reaches them.

    python -m benchmarks.live                       3,000 event streams, then 3,000 Socket.IO connections
    python -m benchmarks.live 1000 --kinds sse      other numbers, or only one kind

The gateway, order-stream and order-web run as they always do, on loopback; each stream is another person's and goes
through the gateway. Best without TEST_DATABASE_URL, so with a server of its own: a long transaction of anybody's on a
shared one delays updates. Streams must be well below what a process may open as files (`ulimit -n`): the gateway needs
two for each.
"""

from __future__ import annotations

import argparse
import http.client
import http.server
import json
import os
import resource
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID

import psutil
import psycopg2

from common.ids import new_id
from devstack.topology import BY_NAME
from tests.support.database import fresh_database, postgres_server
from tests.support.stack import Stack
from tests.support.tokens import ISSUER, claims, public_jwk, sign

KINDS = {"sse": "event streams", "socketio": "Socket.IO connections"}
PROCESSES = ("order-web", "order-stream", "gateway")
OPENERS = 16
CLIENTS = 4
REQUESTS = 1200
WARM_UP = 200
SINGLE_UPDATES = 40
TOKEN_SECONDS = 3600
WAVE_SECONDS = 120.0
PING, PONG = b"\x81\x012", b"\x81\x81\x00\x00\x00\x003"
_ORDERS = """
    INSERT INTO orders (id, number, user_id, status, from_cart, subtotal, discount, shipping, tax, tax_rate,
        tax_included, total, currency, payment_ttl, placed_at, updated_at)
    SELECT gen_random_uuid(), 'B-' || n, person, 'PAID', true, 30, 0, 0, 0, 0, false, 30, 'USD', '30 min', now(), now()
    FROM unnest(%s::uuid[]) WITH ORDINALITY made(person, n)
"""
_CHANGES = """
    INSERT INTO order_history (id, order_id, status, at, actor)
    SELECT gen_random_uuid(), id, 'SHIPPED', now(), 'benchmark' FROM orders WHERE user_id = ANY(%s::uuid[])
"""
_TOLD = "SELECT pg_notify('orders_changed', person) FROM unnest(%s) person"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streams", type=int, nargs="?", default=3000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    chosen = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with postgres_server() as server, trusted_keys() as auth_url:
        own = {name: {"AUTH_URL": auth_url, "PUBLIC_URL": ISSUER} for name in PROCESSES}
        for kind in chosen.kinds:  # in new processes: what a process has had, it keeps
            with (
                fresh_database(server) as admin_url,
                Stack(admin_url, names=PROCESSES, environment={"LOG_LEVEL": "WARNING"}, own=own) as stack,
            ):
                measure(Bench(stack, admin_url, [new_id() for _ in range(chosen.streams)]), kind)


@contextmanager
def trusted_keys() -> Iterator[str]:
    """In the place of the auth service: the key that the tokens here are made with, and no revocations."""
    answers = {
        "/.well-known/jwks.json": {"keys": [public_jwk]},
        "/token": {"access_token": "unused", "token_type": "Bearer", "expires_in": TOKEN_SECONDS},
        "/internal/revocations": {"items": [], "next": 1},
    }

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            body = json.dumps(answers[self.path.partition("?")[0]]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_args: object) -> None:
            """Nothing to say."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class Bench:
    stack: Stack
    admin_url: str
    people: list[UUID]
    tokens: list[str] = field(init=False)

    def __post_init__(self) -> None:
        expires = int(time.time()) + TOKEN_SECONDS
        self.tokens = [sign(claims(subject=person, exp=expires)) for person in self.people]
        self.run(_ORDERS, [str(each) for each in self.people])

    def run(self, *statements: str | list[str]) -> None:
        """Pairs of a statement and the people that it is about, in one transaction."""
        with psycopg2.connect(self.admin_url) as connection, connection.cursor() as cursor:
            cursor.execute("SET search_path = orders")
            for statement, people in zip(statements[::2], statements[1::2], strict=True):
                cursor.execute(statement, [people])
        connection.close()

    def change(self, people: list[UUID]) -> None:
        """One change of the order of each, as the service would write it."""
        named = [str(each) for each in people]
        self.run(_CHANGES, named, _TOLD, named)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.stack.gateway)
        return parts.hostname or "", parts.port or 80

    def memory(self, name: str) -> int:
        """Bytes of a process and its workers."""
        port = self.stack.settings.port(BY_NAME[name])
        owner = next(c.pid for c in psutil.net_connections("tcp4") if c.status == "LISTEN" and c.laddr.port == port)
        first = psutil.Process(owner)
        while (parent := first.parent()) and parent.pid != os.getpid():
            first = parent
        return sum(each.memory_info().rss for each in [first, *first.children(recursive=True)])


class Crowd:
    """Open streams, read by one thread that notes when each was told of something."""

    def __init__(self, bench: Bench, kind: str) -> None:
        self._bench, self._kind = bench, kind
        self._selector = selectors.EpollSelector()
        self._is_over = False
        self.told: dict[int, float] = {}
        self.ended = 0
        self._all_told = threading.Event()
        self._expected = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        with ThreadPoolExecutor(OPENERS) as pool:
            self.sockets = list(pool.map(self._open, range(len(bench.tokens))))

    def close(self) -> None:
        self._is_over = True
        self._reader.join()
        for each in self.sockets:
            each.close()

    def _open(self, index: int) -> socket.socket:
        opened = socket.create_connection(self._bench.address, 60)
        token = self._bench.tokens[index]
        begin = _begin_events if self._kind == "sse" else _begin_socketio
        begin(opened, token)
        opened.setblocking(False)
        self._selector.register(opened, selectors.EVENT_READ, index)
        return opened

    def _read(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select(0.2):
                self._take(key.fileobj, key.data)  # type: ignore[arg-type]

    def _take(self, opened: socket.socket, index: int) -> None:
        data = opened.recv(65536)
        if not data:
            self._selector.unregister(opened)
            self.ended += 1
        if PING in data and self._kind == "socketio":
            opened.sendall(PONG)
        if b"SHIPPED" in data:
            self.told[index] = time.perf_counter()
            if len(self.told) >= self._expected:
                self._all_told.set()

    def change(self, indexes: list[int]) -> list[float]:
        """Seconds from just before the commit until each of these streams was told."""
        self.told.clear()
        self._all_told.clear()
        self._expected = len(indexes)
        people = [self._bench.people[index] for index in indexes]
        began = time.perf_counter()
        self._bench.change(people)
        self._all_told.wait(WAVE_SECONDS)
        return [self.told[index] - began for index in indexes if index in self.told]


def _begin_events(opened: socket.socket, token: str) -> None:
    fields = f"Host: localhost\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n"
    opened.sendall(f"GET /api/v1/orders/events HTTP/1.1\r\n{fields}\r\n".encode())
    _expect(opened, b"id: ")


def _begin_socketio(opened: socket.socket, token: str) -> None:
    fields = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    fields += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    opened.sendall(f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{fields}\r\n".encode())
    _expect(opened, b"pingInterval")
    message = b"40" + json.dumps({"token": token}).encode()
    opened.sendall(b"\x81\xfe" + len(message).to_bytes(2) + b"\0\0\0\0" + message)
    _expect(opened, b"order_cursor")


def _expect(opened: socket.socket, wanted: bytes) -> None:
    data = b""
    while wanted not in data:
        block = opened.recv(65536)
        if not block:
            raise ConnectionError(data)
        data += block


def ordinary(bench: Bench, count: int = REQUESTS) -> float:
    """The 95th percentile in seconds of reading one's orders, over a few connections that are kept."""
    taken: list[float] = []

    def client(token: str) -> None:
        connection = http.client.HTTPConnection(*bench.address, timeout=60)
        for _ in range(count // CLIENTS):
            began = time.perf_counter()
            connection.request("GET", "/api/v1/orders?limit=20", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            if answer.status != 200 or not answer.read():
                raise RuntimeError(answer.status)
            taken.append(time.perf_counter() - began)
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, bench.tokens[:CLIENTS]))
    return statistics.quantiles(taken, n=20)[-1]


def measure(bench: Bench, kind: str) -> None:
    ordinary(bench, WARM_UP)
    before = {name: bench.memory(name) for name in ("order-stream", "gateway")}
    without = ordinary(bench)
    began = time.perf_counter()
    crowd = Crowd(bench, kind)
    try:
        print(f"{len(crowd.sockets)} {KINDS[kind]}, opened in {time.perf_counter() - began:.1f} s")
        beside = ordinary(bench)
        report_memory(bench, before, len(crowd.sockets))
        report_updates(crowd)
    finally:
        crowd.close()
    report_others(beside, [without, ordinary(bench)])
    print(f"  {crowd.ended} streams ended by themselves", flush=True)


def report_memory(bench: Bench, before: dict[str, int], count: int) -> None:
    each = {name: (bench.memory(name) - size) / count / 1024 for name, size in before.items()}
    print(f"  KiB for each: order-stream {each['order-stream']:.0f}, gateway {each['gateway']:.0f}", flush=True)


def report_updates(crowd: Crowd) -> None:
    alone = [crowd.change([index])[0] * 1000 for index in range(SINGLE_UPDATES)]
    print(f"  one update: median {statistics.median(alone):.0f} ms, worst {max(alone):.0f} ms", flush=True)
    together = crowd.change(list(range(len(crowd.sockets))))
    print(f"  one for each at once: {len(together)} told, the last after {max(together):.1f} s", flush=True)


def report_others(beside: float, without: list[float]) -> None:
    """Without them is measured before and after, since other work on the machine comes and goes."""
    around = statistics.mean(without)
    print(f"  p95 of ordinary requests: {beside * 1000:.0f} ms beside them, {around * 1000:.0f} ms without", end="")
    print(f" ({', '.join(f'{each * 1000:.0f}' for each in without)}): ratio {beside / around:.2f}")


if __name__ == "__main__":
    main()
