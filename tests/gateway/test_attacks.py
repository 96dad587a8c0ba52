"""What costs a client little and must not cost a service anything: each with a neighbour who goes on being answered."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.gateway.client import head
from tests.gateway.conftest import BODY_LIMIT, RunningGateway, free_port, running_gateway, stand_ins
from tests.gateway.standin import OK, Exchange, StandIn
from tests.support.waiting import eventually

HUGE = 20_000_000
ASKS = 40
MOST_MORE_SECONDS = 0.1


def slowest(gateway: RunningGateway, path: str = "/api/v1/books") -> float:
    """The time in seconds under which nearly all of a neighbour's requests are answered (p97)."""
    taken = []
    for _ in range(ASKS):
        began = time.monotonic()
        assert gateway.ask("GET", path).status == 200
        taken.append(time.monotonic() - began)
    return sorted(taken)[-2]


@contextmanager
def neighbour(gateway: RunningGateway) -> Iterator[None]:
    """Somebody who is answered during the block's attack as before it."""
    control = slowest(gateway)
    yield
    assert slowest(gateway) < control + MOST_MORE_SECONDS


@contextmanager
def tight_gateway(**environment: str) -> Iterator[RunningGateway]:
    services = stand_ins()
    with running_gateway(services, **environment) as gateway:
        yield gateway
    for service in services.values():
        service.close()


@pytest.mark.parametrize("field", ["Content-Length: 190000", "Transfer-Encoding: chunked"])
def test_a_body_that_comes_slowly_reaches_no_service(gateway: RunningGateway, order: StandIn, field: str) -> None:
    begun = b"x" * 100_000 if "Length" in field else b"186A0\r\n" + b"x" * 100_000
    with ExitStack() as stack, neighbour(gateway):
        for _ in range(20):
            client = stack.enter_context(gateway.connect())
            client.send(head("POST", "/api/v1/cart/items", field) + begun)
        assert order.seen == []


def test_a_body_slower_than_the_least_speed_is_given_up(token: str) -> None:
    with (
        tight_gateway(CLIENT_BLOCK_SECONDS="0.5", CLIENT_LEAST_SPEED="20000") as gateway,
        gateway.connect() as client,
    ):
        client.send(head("POST", "/api/v1/orders", token, "Content-Length: 100000"))
        reply = send_drop_by_drop(client.socket) or client.reply()
        assert (reply.status, reply.json()["code"], reply.fields["Connection"]) == (408, "request_timeout", "close")
        assert gateway.services["order"].seen == []


def send_drop_by_drop(connection: socket.socket) -> None:
    """Never silent for long, and never fast, until there is an answer."""
    connection.setblocking(False)
    for _ in range(200):
        connection.send(b"x" * 100)
        time.sleep(0.02)  # the pace is what is tested
        try:
            if connection.recv(1, socket.MSG_PEEK):
                break
        except BlockingIOError:
            continue
    connection.settimeout(5)


def test_the_bodies_of_all_have_a_bound_together(token: str) -> None:
    with tight_gateway(BODIES_LIMIT="150000") as gateway:
        eventually(lambda: one_of_two_is_refused(gateway, token))
        assert gateway.ask("POST", "/api/v1/orders", token, "Content-Length: 90000", body=b"x" * 90_000).status == 200


def one_of_two_is_refused(gateway: RunningGateway, token: str) -> bool:
    """Whether the first body was under way, with most of it here, when the second came."""
    with gateway.connect() as first:
        first.send(head("POST", "/api/v1/orders", token, "Content-Length: 110000") + b"x" * 100_000)
        refused = gateway.ask("POST", "/api/v1/orders", token, "Content-Length: 90000", body=b"x" * 90_000)
        first.send(b"x" * 10_000)
        return (refused.status, refused.fields["Retry-After"], first.reply().status) == (503, "5", 200)


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_who_reads_slowly_does_not_hold_a_service(gateway: RunningGateway, catalog: StandIn, framing: str) -> None:
    through = threading.Semaphore(0)

    def answer(exchange: Exchange) -> None:
        if framing == "sized":
            exchange.answer(b"x" * HUGE)
        else:
            exchange.send(OK, b"Transfer-Encoding: chunked\r\n\r\n%X\r\n" % HUGE, b"x" * HUGE, b"\r\n0\r\n\r\n")
        through.release()

    catalog.on("/api/v1/books/huge", answer)
    with ExitStack() as stack, neighbour(gateway):
        readers = [stack.enter_context(gateway.connect()) for _ in range(6)]
        for reader in readers:
            reader.send(head("GET", "/api/v1/books/huge"))
        for _ in readers:
            assert through.acquire(timeout=30), "the service is through although nobody has read"
        assert len(readers[0].reply().body) == HUGE


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("field", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_the_body_of_a_read_is_left_where_it_is(
    gateway: RunningGateway, catalog: StandIn, method: str, field: str
) -> None:
    with gateway.connect() as client:
        client.send(head(method, "/api/v1/books", field))
        reply = client.reply(method)
        assert (reply.status, reply.fields["Connection"]) == (200, "close")
        assert client.is_closed()
    names = {name.lower() for name, _ in catalog.seen[-1].fields}
    assert not names & {"content-length", "transfer-encoding"}


def refuse_and_close(exchange: Exchange) -> None:
    """As a server that does not read what it does not want: what is still sent is answered with a reset."""
    exchange.answer(b"{}", b"415 Unsupported Media Type", b"Connection: close\r\n")
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
    exchange.connection.close()


def test_an_early_refusal_is_passed_on(gateway: RunningGateway, catalog: StandIn, token: str) -> None:
    catalog.on("/api/v1/admin/imports", refuse_and_close)
    body = b"x" * 800_000
    for _ in range(50):
        reply = gateway.ask("POST", "/api/v1/admin/imports", token, f"Content-Length: {len(body)}", body=body)
        assert reply.status == 415


def test_what_a_client_causes_does_not_open_the_circuit(gateway: RunningGateway, catalog: StandIn, token: str) -> None:
    catalog.on("/api/v1/admin/imports", lambda exchange: exchange.connection.close())
    body = b"x" * 800_000
    for _ in range(12):
        gateway.ask("POST", "/api/v1/admin/imports", token, f"Content-Length: {len(body)}", body=body)
        assert gateway.ask("GET", "/api/v1/books").status == 200


def test_a_refusal_before_the_body_was_read_is_the_last_answer(gateway: RunningGateway) -> None:
    with gateway.connect() as client:
        client.send(head("POST", "/api/v1/orders", "Content-Length: 100") + b"GET /api/v1/books HTTP/1.1\r\n")
        reply = client.reply()
        assert (reply.status, reply.fields["Connection"]) == (401, "close")
        client.send(b" " * 72)
        assert client.is_closed()


@pytest.mark.parametrize("size", [b"zz\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n"])
def test_a_malformed_chunk_has_one_answer(gateway: RunningGateway, token: str, size: bytes) -> None:
    with gateway.connect() as client:
        client.send(head("POST", "/api/v1/orders", token, "Transfer-Encoding: chunked") + b"3\r\nabc\r\n" + size)
        reply = client.reply()
        assert (reply.status, reply.fields["Connection"]) == (400, "close")
        client.send(b"0\r\n\r\n" + head("GET", "/api/v1/books"))
        assert client.is_closed()


def test_too_many_fields_are_refused_in_our_own_words(gateway: RunningGateway, catalog: StandIn) -> None:
    few = [f"X-Field-{number}: 1" for number in range(85)]
    assert gateway.ask("GET", "/api/v1/books", *few).status == 200
    assert len(catalog.seen[-1].fields) < 100, "which is where the services' own limit is"
    reply = gateway.ask("GET", "/api/v1/books", *few, *few)
    assert (reply.status, reply.json()["code"]) == (431, "headers_too_large")


def test_a_refused_connection_is_tried_again() -> None:
    services = stand_ins()
    port = free_port()
    with running_gateway(services, ORDER_URL=f"http://127.0.0.1:{port}") as gateway:
        late: list[StandIn] = []
        timer = threading.Timer(0.06, lambda: late.append(StandIn(port)))
        timer.start()
        reply = gateway.ask("POST", "/api/v1/cart/items", "Content-Length: 2", body=b"{}")
        timer.join()
        assert reply.status == 200
    for service in [*services.values(), *late]:
        service.close()


def test_what_the_service_would_know_again_is_sent_again(gateway: RunningGateway, order: StandIn, token: str) -> None:
    def close_unseen(exchange: Exchange) -> None:
        order.on("/api/v1/orders", Exchange.echo)
        exchange.connection.close()

    key = "Idempotency-Key: 1"
    for fields, status, times in [((), 502, 1), ((key,), 200, 2)]:
        assert gateway.ask("GET", "/api/v1/cart").status == 200  # there is a connection that was kept
        order.seen.clear()
        order.on("/api/v1/orders", close_unseen)
        reply = gateway.ask("POST", "/api/v1/orders", token, "Content-Length: 2", *fields, body=b"{}")
        assert (reply.status, len(order.seen)) == (status, times)


def test_connections_are_used_in_turn_and_not_for_ever(gateway: RunningGateway, catalog: StandIn) -> None:
    """So that a replica that joins gets its share: the one used longest ago is next."""
    both = threading.Barrier(2, timeout=5)
    catalog.on("/api/v1/books/both", lambda exchange: (both.wait(), exchange.answer(b"{}")))  # type: ignore[func-returns-value]
    with gateway.connect() as one, gateway.connect() as other:
        for number, client in enumerate((one, other)):
            client.send(head("GET", f"/api/v1/books/both?{number}"))
        for client in (one, other):
            assert client.reply().status == 200
    catalog.seen.clear()
    for _ in range(4):
        gateway.ask("GET", "/api/v1/books")
    ports = [exchange.connection.getpeername()[1] for exchange in catalog.seen]
    assert ports[0] != ports[1]
    assert ports[:2] == ports[2:4] or len(set(ports)) > 2


def test_json_may_be_smaller_than_a_file(gateway: RunningGateway, order: StandIn) -> None:
    reply = gateway.ask("POST", "/api/v1/cart/items", f"Content-Length: {BODY_LIMIT + 1}")
    assert (reply.status, reply.json()["code"]) == (413, "too_large")
    assert order.seen == []
