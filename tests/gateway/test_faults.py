"""Services that are away, late, broken or lying."""

from __future__ import annotations

import threading
import time
from http.client import IncompleteRead

import pytest

from gateway.circuit import Circuit
from tests.gateway.client import head
from tests.gateway.conftest import ANSWER_SECONDS, RunningGateway, running_gateway, stand_ins
from tests.gateway.standin import OK, Exchange, StandIn, closed_port
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def closed_circuit(gateway: RunningGateway) -> None:
    """Each test begins with a service that has just answered."""
    eventually(lambda: gateway.ask("GET", "/api/v1/books").status == 200)
    eventually(lambda: gateway.ask("GET", "/api/v1/cart").status == 200)
    for service in gateway.services.values():
        service.seen.clear()


def drop(exchange: Exchange) -> None:
    exchange.connection.close()


def answer_in_part(exchange: Exchange) -> None:
    exchange.send(OK, b"Content-Length: 100\r\n\r\nonly this")
    exchange.connection.close()


def test_a_dropped_read_is_asked_once_more(gateway: RunningGateway, catalog: StandIn) -> None:
    def drop_once(exchange: Exchange) -> None:
        catalog.on("/api/v1/books/1", Exchange.echo)
        drop(exchange)

    catalog.on("/api/v1/books/1", drop_once)
    assert gateway.ask("GET", "/api/v1/books/1").status == 200
    assert catalog.targets() == ["/api/v1/books/1"] * 2


@pytest.mark.parametrize("behaviour", [drop, answer_in_part])
def test_a_read_is_not_asked_for_ever(gateway: RunningGateway, catalog: StandIn, behaviour: object) -> None:
    catalog.on("/api/v1/books/1", behaviour)  # type: ignore[arg-type]
    reply = gateway.ask("GET", "/api/v1/books/1")
    assert (reply.status, reply.json()["code"]) == (502, "bad_gateway")
    assert reply.fields["Content-Type"] == "application/problem+json"
    assert len(catalog.seen) == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_is_never_sent_twice(gateway: RunningGateway, order: StandIn, token: str, method: str) -> None:
    order.on("/api/v1/orders/1", drop)
    reply = gateway.ask(method, "/api/v1/orders/1", token, "Content-Length: 2", body=b"{}")
    assert reply.status == 502
    assert len(order.seen) == 1


def test_a_connection_that_the_service_closed_is_not_used(gateway: RunningGateway, order: StandIn, token: str) -> None:
    """Nothing was sent on it, so a write can go over another one."""
    closed = threading.Event()

    def answer_and_close(exchange: Exchange) -> None:
        exchange.answer(b"{}")  # without saying that this was the last one
        exchange.connection.close()
        closed.set()

    order.on("/api/v1/orders/1", answer_and_close)
    for _ in range(5):
        closed.clear()
        assert gateway.ask("POST", "/api/v1/orders/1", token, "Content-Length: 2", body=b"{}").status == 200
        assert closed.wait(5)
    assert len(order.seen) == 5


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nInjected: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    ],
)
def test_garbage_is_a_bad_gateway(gateway: RunningGateway, catalog: StandIn, garbage: bytes) -> None:
    catalog.on("/api/v1/books/1", lambda exchange: exchange.send(garbage))
    reply = gateway.ask("GET", "/api/v1/books/1")
    assert (reply.status, reply.json()["code"]) == (502, "bad_gateway")


def test_bytes_after_an_answer_belong_to_nobody(gateway: RunningGateway, catalog: StandIn) -> None:
    surplus = OK + b"Content-Length: 2\r\n\r\n{}" + OK + b"Content-Length: 6\r\n\r\nforged"
    catalog.on("/api/v1/books/1", lambda exchange: exchange.send(surplus))
    assert gateway.ask("GET", "/api/v1/books/1").body == b"{}"
    assert gateway.ask("GET", "/api/v1/books/2").json()["target"] == "/api/v1/books/2"


def test_a_late_answer_is_a_gateway_timeout(gateway: RunningGateway, order: StandIn, token: str) -> None:
    def say_nothing(exchange: Exchange) -> None:
        exchange.wait_until_left()

    order.on("/api/v1/orders/slow", say_nothing)
    started = time.monotonic()
    reply = gateway.ask("GET", "/api/v1/orders/slow", token)
    assert (reply.status, reply.json()["code"]) == (504, "gateway_timeout")
    assert ANSWER_SECONDS <= time.monotonic() - started < ANSWER_SECONDS + 2
    assert len(order.seen) == 1


@pytest.mark.parametrize("length", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
def test_a_stream_that_breaks_does_not_look_complete(gateway: RunningGateway, catalog: StandIn, length: bytes) -> None:
    def break_off(exchange: Exchange) -> None:
        exchange.send(OK, length, b"\r\n\r\n", b"5\r\nhello\r\n")
        exchange.connection.close()

    catalog.on("/api/v1/books/1", break_off)
    with gateway.connect() as client:
        client.send(head("GET", "/api/v1/books/1"))
        response = client.begin_reply()
        with pytest.raises(IncompleteRead):
            response.read()


@pytest.mark.parametrize("status", [b"400 Bad Request", b"404 Not Found", b"500 Internal Server Error", b"299 Odd"])
def test_statuses_of_a_service_are_its_own(gateway: RunningGateway, catalog: StandIn, status: bytes) -> None:
    catalog.on("/api/v1/books/1", lambda exchange: exchange.answer(b"{}", status))
    assert gateway.ask("GET", "/api/v1/books/1").status == int(status[:3])


def test_a_service_that_is_away_and_comes_back() -> None:
    services = stand_ins()
    with closed_port() as port, running_gateway(services, REVIEW_URL=f"http://127.0.0.1:{port}") as gateway:
        for _ in range(7):  # the last ones are refused by the circuit
            reply = gateway.ask("GET", "/api/v1/reviews")
            assert (reply.status, reply.json()["code"]) == (503, "unavailable")
            assert int(reply.fields["Retry-After"]) >= 1
        assert gateway.ask("GET", "/api/v1/books").status == 200, "the others are not concerned"
        health = gateway.ask("GET", "/health")
        assert (health.status, health.json()["services"]["review"]["status"]) == (503, "down")
        assert health.json()["services"]["catalog"]["status"] == "ok"
    services["review"].close()


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_a_circuit_opens_tries_once_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("gateway.circuit.time", clock)
    circuit = Circuit("catalog", threshold=3, cool_down=2.0)

    def lets_through() -> bool:
        try:
            circuit.check()
        except Exception:
            return False
        return True

    for _ in range(3):
        assert lets_through()
        circuit.failed()
    assert not lets_through()
    clock.now += 2.1
    assert [lets_through(), lets_through()] == [True, False]  # half-open: one may try
    circuit.failed()
    assert not lets_through()
    clock.now += 2.1
    assert lets_through()
    circuit.succeeded()
    assert [lets_through(), lets_through()] == [True, True]
