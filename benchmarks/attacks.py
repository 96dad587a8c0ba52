"""How a neighbour fares while somebody attacks the store, and what it costs in memory.

    python -m benchmarks.attacks            all attacks; or name some

Starts a whole store on loopback. A neighbour asks for a page of books on new connections: first alone, the control of
the same run, then beside each attack. Printed are its p50 and p99 in milliseconds and how much later the p99 is, and at
the end the peak of each process's resident memory. Each attack is bounded in connections and ends after SECONDS.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import repeat
from urllib.parse import urlsplit

import psutil
import requests

from tests.support.database import fresh_database, postgres_server
from tests.support.shopper import Person, Staff
from tests.support.stack import Stack

SECONDS = 8.0
PACE = 0.02
UPLOAD = 9_000_000
ENVIRONMENT = {"RATE_LIMITS_ENABLED": "false"}


class Target:
    """A running store, with what somebody needs who has an account there."""

    def __init__(self, stack: Stack) -> None:
        parts = urlsplit(stack.gateway)
        self.address = (parts.hostname or "", parts.port or 80)
        self.gateway = stack.gateway
        account = stack.accounts["admin"]
        admin = Staff.sign_in(stack.gateway, account.name, account.password)
        self.book = admin.add_book("A Neighbour's Book", on_hand=500)
        self.person = Person.register(stack.gateway)
        self.token = str(self.person.http.headers["Authorization"])
        sent = self.person.http.post(
            f"{stack.gateway}/api/v1/uploads",
            files={"file": ("large.txt", b"text " * (UPLOAD // 5), "text/plain")},
            timeout=60,
        )
        sent.raise_for_status()
        self.upload = sent.json()["id"]
        self.paid = self.ordered()
        self.person.send("POST", f"/orders/{self.paid}/pay", {"payment_method": "tok_visa"}).raise_for_status()

    def ordered(self) -> str:
        made = self.person.order(self.book)
        made.raise_for_status()
        return str(made.json()["id"])

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, 10)

    def head(self, method: str, path: str, *fields: str, token: bool = False) -> bytes:
        own = [f"Authorization: {self.token}"] if token else []
        lines = "".join(f"{each}\r\n" for each in ("Host: localhost", *own, *fields))
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


Attack = Callable[[Target, threading.Event], None]


def slow_bodies(target: Target, over: threading.Event) -> None:
    """Forty bodies past 64 KiB that come at 8 KB/s."""
    with ExitStack() as stack:
        opened = [stack.enter_context(target.connect()) for _ in range(40)]
        for each in opened:
            each.sendall(target.head("POST", "/api/v1/cart/items", "Content-Length: 200000") + b"x" * 70_000)
        while not over.wait(0.1):
            for each in opened:
                with suppress(OSError):
                    each.sendall(b"x" * 800)


def slow_readers(target: Target, over: threading.Event) -> None:
    """Six who ask for nine megabytes and read little."""
    with ExitStack() as stack:
        for _ in range(6):
            opened = stack.enter_context(target.connect())
            opened.sendall(target.head("GET", f"/api/v1/uploads/{target.upload}/download", token=True))
            opened.recv(1)
        over.wait()


def reads_with_bodies(target: Target, over: threading.Event) -> None:
    """Twenty GETs that announce a body and never send it."""
    with ExitStack() as stack:
        while not over.wait(0.5):
            opened = stack.enter_context(target.connect())
            opened.sendall(target.head("GET", "/api/v1/books?limit=1", "Content-Length: 100000"))


def early_refusals(target: Target, over: threading.Event) -> None:
    """Eight who send what is refused at once."""

    def refused(_: object) -> None:
        while not over.is_set():
            with suppress(OSError), target.connect() as opened:
                opened.sendall(target.head("POST", "/api/v1/orders", "Content-Length: 200000", "Content-Type: text/x"))
                opened.sendall(b"x" * 200_000)
                opened.recv(1000)

    _all(refused, 8)


def large_documents(target: Target, over: threading.Event) -> None:
    """Four who send eleven megabytes of unknown members, and as much as is taken of them."""
    large = b"{" + b",".join(b'"k%d":1' % number for number in range(900_000)) + b"}"
    small = large[:250_000].rpartition(b",")[0] + b"}"

    def send(body: bytes) -> None:
        while not over.is_set():
            with suppress(requests.RequestException):
                requests.post(
                    f"{target.gateway}/api/v1/cart/items",
                    data=body,
                    headers={"Content-Type": "application/json"},
                    timeout=10,
                )

    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(send, [large, large, small, small]))


def empty_fragments(target: Target, over: threading.Event) -> None:
    """Strangers who send 900 KB of empty WebSocket fragments each."""
    upgrade = target.head(
        "GET", "/socket.io/?EIO=4&transport=websocket", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
    )  # fmt: skip
    while not over.wait(0.2):
        with suppress(OSError), target.connect() as opened:
            opened.sendall(upgrade)
            opened.recv(1000)
            opened.sendall(b"\x01\x80\x00\x00\x00\x00" + b"\x00\x80\x00\x00\x00\x00" * 150_000)


def health(target: Target, over: threading.Event) -> None:
    """Thirty who ask for the health and the API document without end."""

    def ask(number: int) -> None:
        path = "/health" if number % 2 else "/api/openapi.json"
        while not over.wait(PACE):
            with suppress(requests.RequestException):
                requests.get(target.gateway + path, timeout=10)

    with ThreadPoolExecutor(30) as crowd:
        list(crowd.map(ask, range(30)))


def invoices(target: Target, over: threading.Event) -> None:
    """Eight who want one invoice all the time."""

    def ask(_: object) -> None:
        while not over.is_set():
            with suppress(requests.RequestException):
                target.person.http.get(f"{target.gateway}/api/v1/orders/{target.paid}/invoice", timeout=20)

    _all(ask, 8)


def payments(target: Target, over: threading.Event) -> None:
    """Twelve payments that wait for their provider."""
    buyers = [Person.register(target.gateway) for _ in range(12)]
    orders = [str(buyer.order(target.book).json()["id"]) for buyer in buyers]

    def pay(buyer: Person, order: str) -> None:
        while not over.is_set():
            with suppress(requests.RequestException):
                buyer.send("POST", f"/orders/{order}/pay", {"payment_method": "tok_slow"})

    with ThreadPoolExecutor(12) as crowd:
        list(crowd.map(pay, buyers, orders))


def _all(work: Callable[[object], None], number: int) -> None:
    with ThreadPoolExecutor(number) as crowd:
        list(crowd.map(work, repeat(None, number)))


ATTACKS: dict[str, Attack] = {
    each.__name__: each
    for each in (
        slow_bodies,
        slow_readers,
        reads_with_bodies,
        early_refusals,
        large_documents,
        empty_fragments,
        health,
        invoices,
        payments,
    )
}
WATCHED = {"payments": "/api/v1/cart", "invoices": "/api/v1/cart", "early_refusals": "/api/v1/cart"}
"""What a neighbour asks for where it is another service than the catalogue that is attacked."""


def neighbour(target: Target, path: str, seconds: float) -> tuple[float, float, int]:
    """p50 and p99 in ms, and how many were not answered with 200."""
    taken, failed, until = [], 0, time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            with target.connect() as opened:
                opened.sendall(target.head("GET", path, "Connection: close"))
                failed += b" 200 " not in opened.recv(65536)[:20]
        except OSError:
            failed += 1
        taken.append((time.monotonic() - began) * 1000)
        time.sleep(PACE)
    cuts = statistics.quantiles(taken, n=100)
    return cuts[49], cuts[98], failed


@contextmanager
def peaks() -> Iterator[dict[str, float]]:
    """The most resident memory of each process below this one, in MiB."""
    seen: dict[str, float] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for each in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    name = " ".join(each.cmdline()[2:4]) or each.name()
                    seen[name] = max(seen.get(name, 0.0), each.memory_info().rss / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    over.set()
    thread.join()


def run(target: Target, name: str) -> None:
    path = WATCHED.get(name, "/api/v1/books?limit=20")
    control = neighbour(target, path, SECONDS / 2)
    over = threading.Event()
    attack = threading.Thread(target=ATTACKS[name], args=[target, over])
    attack.start()
    beside = neighbour(target, path, SECONDS)
    over.set()
    attack.join()
    print(
        f"| {name:18} | {control[0]:6.1f} {control[1]:7.1f} | {beside[0]:6.1f} {beside[1]:7.1f} "
        f"| {beside[1] - control[1]:+8.1f} | {beside[2]:3} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", help=f"of {', '.join(ATTACKS)}; all unless some are named")
    names = parser.parse_args().attacks or list(ATTACKS)
    with (
        peaks() as memory,
        postgres_server() as server,
        fresh_database(server) as url,
        Stack(url, environment=ENVIRONMENT) as stack,
    ):
        target = Target(stack)
        print("| attack             | alone p50 p99  | beside p50 p99 | p99 later | not 200 |")
        for name in names:
            run(target, name)
    print(
        "\n".join(
            f"{peak:7.0f} MiB  {name}"
            for name, peak in sorted(memory.items())
            if "service" in name or "gateway" in name
        )
    )


if __name__ == "__main__":
    main()
