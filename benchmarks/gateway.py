"""What forwarding costs, and who can hold up whom: `python -m benchmarks.gateway`.

Starts on loopback, one after the other, Flask with requests, the gateway's own path on gunicorn's threads and on its
gevent worker, and the gateway as it is run; each before the same stand-in service. Bounded in requests and in time.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from tests.support.tokens import bearer, public_jwk

SECRETS = ("SERVICE_CLIENT_SECRET", "SESSION_KEYS", "SHOP_CLIENT_SECRET", "ADMINISTRATION_CLIENT_SECRET")
KINDS = {
    "flask": "Flask + requests, 4 threads",
    "gthread": "our path, 4 threads",
    "gevent": "our path, gunicorn's gevent worker",
    "gateway": "our path, our worker (as run)",
}
WARM_UP = 300
REQUESTS = 2000
ROUNDS = 4
CONNECTIONS = 8
CROWD = 300
PROBES = 50
GIVE_UP_AFTER = 5
PROBE_SECONDS = 1.0
START_SECONDS = 15.0
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Cost:
    cpu_ms: float
    per_second: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    kinds = sys.argv[1:] or list(KINDS)
    token = bearer()["Authorization"]
    first: Cost | None = None
    print(f"{'':36}{'CPU ms':>8}{'ratio':>7}{'req/s':>7}{'p50 ms':>8}{'p99 ms':>8}")
    with process("upstream", {"JWKS": orjson.dumps({"keys": [public_jwk]}).decode()}) as (_, upstream):
        for kind in kinds:
            with process(kind, settings(upstream)) as (pid, port):
                cost = measure(pid, port, token)
                first = first or cost
                print(f"{KINDS[kind]:36}{cost.cpu_ms:8.2f}{cost.cpu_ms / first.cpu_ms:7.2f}", end="")
                print(f"{cost.per_second:7.0f}{cost.p50_ms:8.2f}{cost.p99_ms:8.2f}")
                if kind == "gateway":
                    repeat = measure(pid, port, "")
                    share = repeat.cpu_ms / cost.cpu_ms
                    print(f"{'    a repeat, from the cache':36}{repeat.cpu_ms:8.2f}{share:7.2f}")
                for crowd, name in CROWDS.items():
                    print(f"    beside {CROWD} {name}: answered {beside(crowd, port, token)}", flush=True)


def settings(upstream: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{upstream}"
    limits = ",".join(f"{name}=1000000/minute" for name in ("reads", "writes", "search"))  # counted, and never met
    urls = {f"{name}_URL": url for name in ("AUTH", "CATALOG", "ORDER", "REVIEW")}
    return urls | {"WEB_THREADS": "4", "RATE_LIMITS": limits}


@contextmanager
def process(kind: str, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The id of the process that answers, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.gateway_processes", kind]
    secrets = dict.fromkeys(SECRETS, "unused unused unused unused unused")
    environ = os.environ | environment | secrets | {"PORT": str(port), "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(command, env=environ, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port))
        if kind == "upstream":
            yield started.pid, port
        else:
            wait_until(lambda: psutil.Process(started.pid).children())
            yield psutil.Process(started.pid).children()[0].pid, port
    finally:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.wait(5)
        started.kill()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a process did not start")
        time.sleep(0.05)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def measure(pid: int, port: int, token: str) -> Cost:
    """The round that was disturbed least: other work on the machine can only add to it."""
    hammer(port, token, WARM_UP)
    return min((measure_round(psutil.Process(pid), port, token) for _ in range(ROUNDS)), key=lambda cost: cost.cpu_ms)


def measure_round(gauge: psutil.Process, port: int, token: str) -> Cost:
    before, started = sum(gauge.cpu_times()[:2]), time.perf_counter()
    durations = hammer(port, token, REQUESTS)
    elapsed, used = time.perf_counter() - started, sum(gauge.cpu_times()[:2]) - before
    percentiles = statistics.quantiles(durations, n=100)
    count = len(durations)
    return Cost(used / count * 1000, count / elapsed, percentiles[49] * 1000, percentiles[98] * 1000)


def hammer(port: int, token: str, requests: int) -> list[float]:
    """Durations in seconds, over a few connections that are kept."""
    durations: list[float] = []

    def client() -> None:
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            for _ in range(requests // CONNECTIONS):
                started = time.perf_counter()
                ask(connection, token)
                durations.append(time.perf_counter() - started)

    threads = [threading.Thread(target=client) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return durations


def request(path: str, token: str) -> bytes:
    """Without a token it is what everybody may have."""
    fields = "Host: localhost\r\nAccept: application/json\r\nUser-Agent: benchmark\r\n"
    fields += f"Authorization: {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\n{fields}Accept-Encoding: gzip\r\nAccept-Language: en\r\n\r\n".encode()


def ask(connection: socket.socket, token: str) -> None:
    """One request and the whole of its answer."""
    connection.sendall(request("/api/v1/books?limit=20" if token else "/api/v1/books?shared", token))
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    if b" 200 " not in head[:20]:
        raise RuntimeError(head)
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), None)
    while len(body) < length if length is not None else not body.endswith(b"0\r\n\r\n"):
        body += receive(connection)


def receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("closed")
    return data


def beside(crowd: Callable[[int, str], Iterator[socket.socket]], port: int, token: str) -> str:
    """How ordinary requests, each on a new connection, fare while a crowd holds its connections open."""
    durations: list[float | None] = []
    with ExitStack() as stack:
        for connection in crowd(port, token):
            stack.enter_context(connection)
        while len(durations) < PROBES and durations[-GIVE_UP_AFTER:] != [None] * GIVE_UP_AFTER:
            durations.append(probe(port, token))
    answered = [each * 1000 for each in durations if each is not None]
    count = f"{len(answered)} of {len(durations)}"
    return f"{count}, median {statistics.median(answered):.1f} ms, worst {max(answered):.0f} ms" if answered else count


def probe(port: int, token: str) -> float | None:
    """The seconds that one request took; None when there was no answer in time."""
    started = time.perf_counter()
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_SECONDS) as connection:
            ask(connection, token)
    except (OSError, RuntimeError):
        return None
    return time.perf_counter() - started


def slow_heads(port: int, token: str) -> Iterator[socket.socket]:
    """Clients that have sent half of a request's head, and think about the rest."""
    for _ in range(CROWD):
        connection = socket.create_connection(("127.0.0.1", port), PROBE_SECONDS)
        connection.sendall(request("/api/v1/books", token)[:-4])
        yield connection


def streams(port: int, token: str) -> Iterator[socket.socket]:
    for _ in range(CROWD):
        connection = socket.create_connection(("127.0.0.1", port), PROBE_SECONDS)
        connection.sendall(request("/api/v1/orders/events", token))
        yield connection


CROWDS = {slow_heads: "slow heads", streams: "open streams"}

if __name__ == "__main__":
    main()
