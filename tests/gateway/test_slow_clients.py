"""Nobody who is slow, or stays for long, stands in the way of the others; and a stop waits for nobody too long."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.gateway.client import head
from tests.gateway.conftest import RunningGateway, running_gateway, stand_ins
from tests.gateway.standin import OK, Exchange, StandIn
from tests.support.waiting import eventually

CROWD = 300
ORDINARY_SECONDS = 1.0


def assert_ordinary_requests_are_answered(gateway: RunningGateway) -> None:
    for _ in range(20):
        started = time.monotonic()
        assert gateway.ask("GET", "/api/v1/books").status == 200
        assert time.monotonic() - started < ORDINARY_SECONDS


def test_slow_heads(gateway: RunningGateway) -> None:
    with ExitStack() as stack:
        for _ in range(CROWD):
            client = stack.enter_context(gateway.connect())
            client.send(b"GET /api/v1/books HTTP/1.1\r\nHost: loc")
        assert_ordinary_requests_are_answered(gateway)


def test_slow_bodies_do_not_reach_a_service(gateway: RunningGateway, order: StandIn, token: str) -> None:
    with ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(gateway.connect())
            client.send(head("POST", "/api/v1/orders", token, "Content-Length: 100") + b"{")
        assert_ordinary_requests_are_answered(gateway)
        assert order.seen == []
        client.send(b"}" + b" " * 98)
        assert client.reply().status == 200


def test_open_streams(gateway: RunningGateway, order: StandIn, token: str) -> None:
    over = threading.Event()

    def stream(exchange: Exchange) -> None:
        exchange.send(OK, b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.wait(0.5):
            exchange.send(b"9\r\ndata: 1\n\n\r\n")

    order.on("/api/v1/orders/events", stream)
    with ExitStack() as stack:
        for _ in range(CROWD):
            client = stack.enter_context(gateway.connect())
            client.send(head("GET", "/api/v1/orders/events", token))
        eventually(lambda: len(order.seen) == CROWD)
        assert_ordinary_requests_are_answered(gateway)
        over.set()


def test_a_client_that_does_not_read_holds_up_nobody(gateway: RunningGateway, catalog: StandIn) -> None:
    size = 30_000_000
    catalog.on("/api/v1/books/huge", lambda exchange: exchange.answer(b"x" * size))
    with gateway.connect() as client:
        client.send(head("GET", "/api/v1/books/huge"))
        assert_ordinary_requests_are_answered(gateway)
        assert len(client.reply().body) == size


@pytest.fixture
def impatient() -> Iterator[RunningGateway]:
    services = stand_ins()
    with running_gateway(services, CLIENT_HEAD_SECONDS="0.3", CLIENT_BLOCK_SECONDS="0.3") as gateway:
        yield gateway
    for service in services.values():
        service.close()


def test_patience_with_clients_ends(impatient: RunningGateway, token: str) -> None:
    with impatient.connect() as client:
        client.send(b"GET /api/v1/books HTTP/1.1\r\n")
        assert client.is_closed()
    with impatient.connect() as client:
        client.send(head("POST", "/api/v1/orders", token, "Content-Length: 100") + b"{")
        reply = client.reply()
        assert (reply.status, reply.json()["code"], reply.fields["Connection"]) == (408, "request_timeout", "close")


def test_a_stop_finishes_what_was_begun_and_lets_go_of_the_rest(impatient: RunningGateway, token: str) -> None:
    order, finish = impatient.services["order"], threading.Event()

    def answer_late(exchange: Exchange) -> None:
        exchange.send(OK, b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        finish.wait(5)
        exchange.send(b"4\r\ndone\r\n0\r\n\r\n")

    def stream(exchange: Exchange) -> None:
        exchange.send(OK, b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        exchange.wait_until_left()

    order.on("/api/v1/orders/late", answer_late)
    order.on("/api/v1/orders/events", stream)
    with impatient.connect() as idle, impatient.connect() as late, impatient.connect() as streaming:
        idle.request("GET", "/api/v1/books")
        streaming.send(head("GET", "/api/v1/orders/events", token))
        streaming.begin_reply()
        late.send(head("GET", "/api/v1/orders/late", token))
        response = late.begin_reply()
        impatient.process.send_signal(signal.SIGTERM)
        assert idle.is_closed()
        assert streaming.is_closed()
        finish.set()
        assert response.read() == b"done"
    assert impatient.process.wait(20) == 0
