"""Requests that two readers could understand differently are understood by nobody."""

from __future__ import annotations

import pytest

from tests.gateway.client import head
from tests.gateway.conftest import RunningGateway


def everything_seen(gateway: RunningGateway) -> list[str]:
    return [target for service in gateway.services.values() for target in service.targets()]


@pytest.mark.parametrize(
    "target",
    [
        "/internal/books",
        "/INTERNAL/books",
        "/api/v1/internal",
        "/metrics",
        "/api/v1/../../internal/books",
        "/api/v1/books/../../../internal",
        "/api/v1/books/%2e%2e/%2E%2E/internal",
        "/api/v1/books/.%2e/x",
        "/api/v1/books/./x",
        "/api/v1/books/..;/internal",
        "/api/v1/books/%2f..%2finternal",
        "/api/v1/books%2f..%2f..%2finternal",
        "/api/v1/books/%5c..%5cinternal",
        "/api/v1/books\\..\\internal",
        "//internal/books",
        "/api/v1//books",
        "/api/v1/books//internal",
        "/api/v1/books/%00",
        "/api/v1/books/%zz",
        "/api/v1/books/%",
        "/api/v1/books;x=/internal",
        "/api/v1/books%3b/internal",
        "/api/v1/booksinternal",
        "/api/v1/books#/../internal",
        "http://localhost/internal/books",
        "http://localhost//internal",
        "/openapi.json",
        "/.well-known/../internal",
        "*",
    ],
)
def test_no_spelling_reaches_what_is_not_in_the_table(gateway: RunningGateway, target: str, token: str) -> None:
    reply = gateway.ask("GET", target, token)
    assert reply.status in (400, 404)
    assert reply.fields["Content-Type"] == "application/problem+json"
    assert everything_seen(gateway) == []


@pytest.mark.parametrize("target", ["/readyz", "/livez"])
def test_probes_are_the_gateways_own(gateway: RunningGateway, target: str) -> None:
    assert gateway.ask("GET", target).json() == {"status": "ok"}
    assert everything_seen(gateway) == []


CHUNKED = b"0\r\n\r\nGET /api/v1/books/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
        (("Content-Length: 5", "Content-Length: 6"), 400),
        (("Content-Length: 5", "Content-Length: 5"), 400),
        (("Content-Length: 5, 5",), 400),
        (("Content-Length: +5",), 400),
        (("Content-Length: -1",), 400),
        (("Content-Length: 0x5",), 400),
        (("Transfer-Encoding: chunked, identity",), 400),
        (("Transfer-Encoding: gzip",), 400),
        (("Transfer-Encoding: xchunked",), 501),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
        (("Transfer-Encoding : chunked",), 400),
        (("X-Folded: a\r\n b",), 400),
        (("Host: other",), 400),
        (("X: a\x00b",), 400),
        (("Expect: tea",), 417),
        (("X-Large: " + "x" * 9000,), 431),
        (tuple(f"X-{number}: 1" for number in range(120)), 431),
    ],
)
def test_ambiguous_framing_is_refused(
    gateway: RunningGateway, fields: tuple[str, ...], status: int, token: str
) -> None:
    with gateway.connect() as client:
        client.send(head("POST", "/api/v1/orders", token, *fields) + CHUNKED)
        reply = client.reply()
        assert (reply.status, reply.fields["Content-Type"]) == (status, "application/problem+json")
        assert reply.json()["request_id"] == reply.fields["X-Request-ID"]
        assert client.is_closed()
    assert everything_seen(gateway) == []


@pytest.mark.parametrize(
    "line", ["GET /api/v1/books", "GET  /api/v1/books HTTP/1.1", "get /api/v1/books HTTP/1.1", "GET /é HTTP/1.1", "x"]
)
def test_malformed_request_lines_are_refused(gateway: RunningGateway, line: str) -> None:
    with gateway.connect() as client:
        client.send(f"{line}\r\nHost: x\r\n\r\n")
        assert (client.reply().status, client.is_closed()) == (400, True)


def test_a_target_that_is_too_long_is_refused(gateway: RunningGateway) -> None:
    assert gateway.ask("GET", "/api/v1/books?q=" + "x" * 9000).status == 414


def test_a_request_without_host_is_refused(gateway: RunningGateway) -> None:
    with gateway.connect() as client:
        client.send("GET /api/v1/books HTTP/1.1\r\n\r\n")
        assert client.reply().status == 400


@pytest.mark.parametrize("chunks", [b"zz\r\nabc\r\n0\r\n", b"3\r\nabcdef\r\n0\r\n", b"3\r\nabc\r\n0\r\nHost: x\r\n"])
def test_malformed_chunks_are_refused(gateway: RunningGateway, chunks: bytes, token: str) -> None:
    with gateway.connect() as client:
        client.send(head("POST", "/api/v1/orders", token, "Transfer-Encoding: chunked") + chunks + b"\r\n")
        assert (client.reply().status, client.is_closed()) == (400, True)
    assert everything_seen(gateway) == []
