"""What it costs to hold many live streams on which nothing happens."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest

from tests.gateway.client import head
from tests.gateway.conftest import running_gateway, stand_ins
from tests.gateway.test_sessions import cookie
from tests.support.waiting import eventually

STREAMS = 400
MOST_BYTES = 60_000
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n"


@pytest.fixture
def holding() -> Iterator[str]:
    """The address of a service that begins a stream for whoever asks, and then says nothing."""
    listener, selector = socket.create_server(("127.0.0.1", 0), backlog=512), selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    held: list[socket.socket] = []
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            for key, _ in selector.select(0.1):
                if key.fileobj is listener:
                    held.append(listener.accept()[0])
                    selector.register(held[-1], selectors.EVENT_READ)
                elif key.fileobj.recv(65536):  # type: ignore[union-attr]
                    key.fileobj.sendall(BEGUN)  # type: ignore[union-attr]
                else:
                    selector.unregister(key.fileobj)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    over.set()
    thread.join()
    for each in (listener, *held):
        with suppress(OSError):
            each.close()


def test_an_idle_stream_costs_no_thread_and_little_memory(holding: str) -> None:
    limits = {"RATE_LIMITS_ENABLED": "true", "RATE_LIMITS": "streams=100000/minute"}
    with running_gateway(stand_ins(), ORDER_STREAM_URL=holding, **limits) as gateway, ExitStack() as opened:
        (worker,) = eventually(lambda: psutil.Process(gateway.process.pid).children())

        def open_streams(count: int) -> None:
            for _ in range(count):
                client = opened.enter_context(gateway.connect())
                client.send(head("GET", "/api/v1/orders/events", f"Cookie: {cookie()}"))
                assert client.begin_reply().status == 200

        open_streams(20)
        # Pages that the worker has in common with its parent count from the start, or parting with them would count.
        threads, memory = worker.num_threads(), worker.memory_info().rss
        open_streams(STREAMS)
        assert (worker.memory_info().rss - memory) / STREAMS < MOST_BYTES
        assert worker.num_threads() <= threads
