"""What reaches a service, and what comes back."""

from __future__ import annotations

import gzip
import threading

import pytest

from tests.gateway.client import head
from tests.gateway.conftest import BODY_LIMIT, FILES_LIMIT, RunningGateway
from tests.gateway.standin import OK, Exchange, StandIn
from tests.support.waiting import eventually


def test_a_request_arrives_as_it_was_sent(gateway: RunningGateway, token: str) -> None:
    reply = gateway.ask("POST", "/api/v1/orders?a=%2F..&b=%C3%BC", token, "Content-Length: 7", body=b'{"a":1}')
    seen = reply.json()
    assert reply.status == 200
    assert (seen["method"], seen["target"], seen["body"]) == ("POST", "/api/v1/orders?a=%2F..&b=%C3%BC", '{"a":1}')


def test_the_encoding_of_a_path_is_kept(gateway: RunningGateway) -> None:
    assert gateway.ask("GET", "/api/v1/%62ooks/a%20b%3F").json()["target"] == "/api/v1/%62ooks/a%20b%3F"


def test_an_absolute_target_is_taken_as_its_path(gateway: RunningGateway) -> None:
    assert gateway.ask("GET", "http://elsewhere.example/api/v1/books?q=1").json()["target"] == "/api/v1/books?q=1"


def test_connections_to_a_service_are_kept(gateway: RunningGateway, catalog: StandIn) -> None:
    gateway.ask("GET", "/api/v1/books")
    before = catalog.connections
    for _ in range(5):
        gateway.ask("GET", "/api/v1/books")
    assert catalog.connections == before


def test_a_client_connection_is_kept(gateway: RunningGateway) -> None:
    with gateway.connect() as client:
        for _ in range(3):
            assert client.request("GET", "/api/v1/books").status == 200


def test_pipelined_requests_are_answered_in_order(gateway: RunningGateway) -> None:
    with gateway.connect() as client:
        client.send(head("GET", "/api/v1/books/1") + head("GET", "/api/v1/books/2"))
        response = client.begin_reply()
        assert b"/api/v1/books/1" in response.read()


def test_a_chunked_body_arrives_whole(gateway: RunningGateway, token: str) -> None:
    body = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
    reply = gateway.ask("POST", "/api/v1/orders", token, "Transfer-Encoding: chunked", body=body)
    assert reply.json()["body"] == "abcdefg"


@pytest.mark.parametrize("framing", ["chunked", "sized"])
def test_a_webhook_arrives_byte_for_byte_with_its_signature(gateway: RunningGateway, framing: str) -> None:
    """What is signed is the body's bytes: spaces, escapes and line ends included. Its credentials are not ours."""
    signed = b'{ "id" :"evt_1",\r\n "name":"\xc3\xbc \\u00fc\t" }\n'
    chunked = b"%X\r\n%b\r\n0\r\n\r\n" % (len(signed), signed)
    body = chunked if framing == "chunked" else signed
    length = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {len(signed)}"
    fields = ("Stripe-Signature: t=1,v1=ab,v0=cd", "Authorization: Basic eDp5")
    seen = gateway.ask("POST", "/api/v1/payments/webhook/stripe", length, *fields, body=body).json()
    assert seen["body"].encode("latin-1") == signed
    assert ["Stripe-Signature", "t=1,v1=ab,v0=cd"] in seen["fields"]


@pytest.mark.parametrize("framing", ["chunked", "sized"])
def test_a_service_hears_of_a_large_body_when_all_of_it_is_here(
    gateway: RunningGateway, catalog: StandIn, token: str, framing: str
) -> None:
    first, last = b"a" * 600_000, b"b" * 1000
    chunk = (lambda data: b"%X\r\n%b\r\n" % (len(data), data)) if framing == "chunked" else (lambda data: data)
    field = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {len(first + last)}"
    with gateway.connect() as client:
        client.send(head("POST", "/api/v1/admin/imports", token, field) + chunk(first))
        assert gateway.ask("GET", "/api/v1/books").status == 200
        assert catalog.targets() == ["/api/v1/books"]
        client.send(chunk(last) + (b"0\r\n\r\n" if framing == "chunked" else b""))
        reply = client.reply()
    assert reply.status == 200
    assert reply.json()["body"].encode() == first + last
    assert catalog.seen[-1].one("Content-Length") == "601000"


def test_a_body_over_the_limit_is_refused(gateway: RunningGateway, order: StandIn, token: str) -> None:
    reply = gateway.ask("POST", "/api/v1/orders", token, f"Content-Length: {BODY_LIMIT + 1}")
    assert (reply.status, reply.json()["code"], reply.fields["Connection"]) == (413, "too_large", "close")
    assert not order.seen


def test_where_several_files_may_come_the_limit_is_another(
    gateway: RunningGateway, catalog: StandIn, token: str
) -> None:
    body = b"x" * (BODY_LIMIT + 1)
    for path in ("/api/v1/books/5/images", "/api/v1/admin/imports"):
        taken = gateway.ask("POST", path, token, f"Content-Length: {len(body)}", body=body)
        assert (taken.status, len(taken.json()["body"])) == (200, len(body))
        reply = gateway.ask("POST", path, token, f"Content-Length: {FILES_LIMIT + 1}")
        assert (reply.status, reply.json()["code"]) == (413, "too_large")
    assert gateway.ask("POST", "/api/v1/uploads", token, f"Content-Length: {BODY_LIMIT + 1}").status == 413
    assert len(catalog.seen) == 2


def test_a_chunked_body_over_the_limit_is_refused_when_it_shows(
    gateway: RunningGateway, order: StandIn, token: str
) -> None:
    with gateway.connect() as client:
        client.send(head("POST", "/api/v1/orders/endless", token, "Transfer-Encoding: chunked"))
        client.send(b"F000\r\n%b\r\n" % (b"x" * 0xF000) * 4)
        reply = client.reply()
        assert (reply.status, reply.fields["Connection"]) == (413, "close")
    assert not order.seen


def test_responses_stream_as_they_are_made(gateway: RunningGateway, order: StandIn, token: str) -> None:
    step = threading.Semaphore(0)

    def stream(exchange: Exchange) -> None:
        exchange.send(OK, b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            step.acquire(timeout=5)
            event = b"data: %d\n\n" % number
            exchange.send(b"%X\r\n%b\r\n" % (len(event), event))
        exchange.send(b"0\r\n\r\n")

    order.on("/api/v1/orders/events", stream)
    with gateway.connect() as client:
        client.send(head("GET", "/api/v1/orders/events", token))
        response = client.begin_reply()  # the head comes before there is any event
        assert response.headers["Content-Type"] == "text/event-stream"
        for number in range(3):
            step.release()
            assert response.read1() == b"data: %d\n\n" % number
        assert response.read() == b""


def test_a_stream_is_given_up_when_its_client_leaves(gateway: RunningGateway, order: StandIn, token: str) -> None:
    left = threading.Event()

    def stream(exchange: Exchange) -> None:
        exchange.send(OK, b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        if exchange.wait_until_left():
            left.set()

    order.on("/api/v1/orders/events", stream)
    with gateway.connect() as client:
        client.send(head("GET", "/api/v1/orders/events", token))
        client.begin_reply()
    assert left.wait(5)


def test_a_slow_answer_is_given_up_when_its_client_leaves(gateway: RunningGateway, order: StandIn, token: str) -> None:
    left = threading.Event()
    order.on("/api/v1/orders/slow", lambda exchange: left.set() if exchange.wait_until_left() else None)
    with gateway.connect() as client:
        client.send(head("GET", "/api/v1/orders/slow", token))
        eventually(lambda: order.seen)
    assert left.wait(5)


def test_a_body_until_close_becomes_a_proper_one(gateway: RunningGateway, catalog: StandIn) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.0 200 OK\r\n\r\n", b"all of it")
        exchange.connection.close()

    catalog.on("/api/v1/books/old", answer)
    reply = gateway.ask("GET", "/api/v1/books/old")
    assert (reply.body, reply.fields["Transfer-Encoding"]) == (b"all of it", "chunked")


def test_encoded_bodies_and_repeated_fields_are_left_alone(gateway: RunningGateway, catalog: StandIn) -> None:
    packed = gzip.compress(b"x" * 1000)
    fields = b"Content-Encoding: gzip\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n"
    catalog.on("/api/v1/books/zip", lambda exchange: exchange.answer(packed, fields=fields))
    reply = gateway.ask("GET", "/api/v1/books/zip")
    assert (reply.body, reply.fields.get_all("Set-Cookie")) == (packed, ["a=1; Path=/", "b=2"])


def test_head_has_the_length_and_no_body(gateway: RunningGateway, catalog: StandIn) -> None:
    catalog.on("/api/v1/books/1", lambda exchange: exchange.send(OK, b"Content-Length: 1234\r\n\r\n"))
    with gateway.connect() as client:
        reply = client.request("HEAD", "/api/v1/books/1")
        assert (reply.status, reply.fields["Content-Length"], reply.body) == (200, "1234", b"")
        assert client.request("GET", "/api/v1/books").status == 200


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_without_a_body_keep_the_connection(gateway: RunningGateway, catalog: StandIn, status: bytes) -> None:
    catalog.on("/api/v1/books/1", lambda exchange: exchange.send(b'HTTP/1.1 %b\r\nETag: "1"\r\n\r\n' % status))
    with gateway.connect() as client:
        for _ in range(2):
            reply = client.request("GET", "/api/v1/books/1")
            assert (reply.status, reply.body, reply.fields["ETag"]) == (int(status[:3]), b"", '"1"')


def test_interim_answers_are_passed_over(gateway: RunningGateway, catalog: StandIn) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    final = OK + b"Content-Length: 2\r\n\r\n{}"
    catalog.on("/api/v1/books/1", lambda exchange: exchange.send(interim + final))
    assert gateway.ask("GET", "/api/v1/books/1").body == b"{}"


def test_a_client_that_expects_100_is_told_when_its_body_is_wanted(gateway: RunningGateway, token: str) -> None:
    with gateway.connect() as client:
        client.send(head("POST", "/api/v1/orders", token, "Expect: 100-continue", "Content-Length: 2"))
        assert client.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"{}")
        seen = client.reply().json()
    assert seen["body"] == "{}"
    assert not [name for name, _ in seen["fields"] if name == "Expect"]


def test_a_refused_request_is_not_told_to_send_its_body(gateway: RunningGateway) -> None:
    with gateway.connect() as client:
        client.send(head("POST", "/api/v1/orders", "Expect: 100-continue", "Content-Length: 2"))
        reply = client.reply()
        assert (reply.status, reply.fields["Connection"]) == (401, "close")
        assert client.is_closed()


def test_a_service_may_refuse_a_body_half_way(gateway: RunningGateway, order: StandIn, token: str) -> None:
    order.on(
        "/api/v1/orders/refuse",
        lambda exchange: exchange.answer(b"{}", b"409 Conflict", b"Connection: close\r\n"),
    )
    reply = gateway.ask("POST", "/api/v1/orders/refuse", token, "Content-Length: 150000", body=b"x" * 150_000)
    assert reply.status == 409


def test_options_reaches_the_service_without_a_token(gateway: RunningGateway) -> None:
    assert gateway.ask("OPTIONS", "/api/v1/orders").json()["method"] == "OPTIONS"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_are_not_allowed(gateway: RunningGateway, method: str) -> None:
    reply = gateway.ask(method, "/api/v1/books")
    assert (reply.status, reply.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in reply.fields["Allow"]
