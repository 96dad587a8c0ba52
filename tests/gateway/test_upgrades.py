"""WebSockets through the gateway: a tunnel after a service's 101, and nothing of the kind before."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.gateway.client import RawClient, head
from tests.gateway.conftest import SHOP, RunningGateway, running_gateway, stand_ins
from tests.gateway.standin import Exchange, StandIn
from tests.support.tokens import bearer

PATH = "/socket.io/"
TARGET = f"{PATH}?EIO=4&transport=websocket"
ASKING = (
    "Connection: keep-alive, Upgrade",
    "Upgrade: WebSocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nServer: stand-in\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@pytest.fixture
def sockets(order: StandIn) -> StandIn:
    """A service that agrees, says hello, and repeats what it hears."""
    order.on(PATH, repeat)
    return order


def repeat(exchange: Exchange) -> None:
    exchange.send(AGREED, b"hello")
    while data := exchange.buffered or exchange.connection.recv(65536):
        exchange.buffered = b""
        exchange.send(data)


def opened(client: RawClient, *fields: str) -> dict[str, str]:
    """The fields of the 101, lower-case names."""
    client.send(head("GET", TARGET, *ASKING, *fields))
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        text += client.socket.recv(1)
    line, *rest = text.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    assert line == "HTTP/1.1 101 Switching Protocols"
    return {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}


def received(client: RawClient, size: int) -> bytes:
    data = b""
    while len(data) < size and (block := client.socket.recv(65536)):
        data += block
    return data


def test_bytes_go_both_ways_after_a_101(gateway: RunningGateway, sockets: StandIn) -> None:
    with gateway.connect() as client:
        fields = opened(client)
        assert (fields["connection"].lower(), fields["upgrade"].lower()) == ("upgrade", "websocket")
        assert fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert {"x-request-id", "x-content-type-options"} <= set(fields)
        assert not {"content-length", "transfer-encoding", "server"} & set(fields)
        assert received(client, 5) == b"hello"
        sent = bytes(range(256)) * 2000
        threading.Thread(target=client.send, args=[sent]).start()
        assert received(client, len(sent)) == sent


def test_the_service_gets_the_handshake_and_no_identity_of_the_clients_making(
    gateway: RunningGateway, sockets: StandIn
) -> None:
    with gateway.connect() as client:
        opened(client, "X-User-Id: 1")
        (seen,) = sockets.seen
        assert (seen.one("Connection").lower(), seen.one("Upgrade").lower()) == ("upgrade", "websocket")
        assert seen.one("Sec-WebSocket-Key") == "dGhlIHNhbXBsZSBub25jZQ=="
        assert seen.one("X-Request-ID")
        assert not seen.all("X-User-Id")


def test_what_was_sent_too_early_arrives_after_the_handshake(gateway: RunningGateway, sockets: StandIn) -> None:
    with gateway.connect() as client:
        client.send(head("GET", TARGET, *ASKING) + b"early")
        got = b""
        while not got.endswith(b"\r\n\r\nhelloearly"):
            got += client.socket.recv(4096)


def test_the_end_of_the_service_is_the_clients(gateway: RunningGateway, order: StandIn) -> None:
    def leave(exchange: Exchange) -> None:
        exchange.send(AGREED)
        exchange.connection.close()

    order.on(PATH, leave)
    with gateway.connect() as client:
        opened(client)
        assert client.is_closed()


def test_the_end_of_the_client_is_the_services(gateway: RunningGateway, order: StandIn) -> None:
    left = threading.Event()

    def stay(exchange: Exchange) -> None:
        exchange.send(AGREED)
        if exchange.wait_until_left():
            left.set()

    order.on(PATH, stay)
    with gateway.connect() as client:
        opened(client)
    assert left.wait(5)


def test_after_a_refusal_the_connection_still_speaks_http(gateway: RunningGateway, order: StandIn) -> None:
    """What follows a refused upgrade is a request like any other, and is judged as one."""
    order.on(PATH, lambda exchange: exchange.answer(b"{}", b"400 Bad Request"))
    with gateway.connect() as client:
        client.send(head("GET", TARGET, *ASKING))
        assert client.reply().status == 400
        assert client.request("GET", "/internal/orders").status == 404
        assert client.request("GET", "/api/v1/orders").status == 401
    assert order.targets() == [TARGET]


def test_a_service_that_switches_unasked_is_a_fault(gateway: RunningGateway, order: StandIn) -> None:
    order.on(PATH, lambda exchange: exchange.send(AGREED))
    assert gateway.ask("GET", TARGET).status == 502


@pytest.mark.parametrize("target", ["/api/v1/books", "/api/v1/cart"])
def test_elsewhere_an_upgrade_is_not_heard(gateway: RunningGateway, target: str) -> None:
    reply = gateway.ask("GET", target, *ASKING)
    assert reply.status == 200
    assert not {"Upgrade", "Connection"} & {name for name, _ in reply.json()["fields"]}


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "websocket, h2c", ""])
def test_no_other_protocol_is_asked_for(gateway: RunningGateway, order: StandIn, protocol: str) -> None:
    reply = gateway.ask(
        "GET", TARGET, "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: A"
    )
    assert reply.status == 200
    assert not {"Upgrade", "Connection", "Http2-Settings"} & {name for name, _ in reply.json()["fields"]}


@pytest.mark.parametrize(
    ("method", "fields", "body"),
    [
        ("POST", (*ASKING, "Content-Length: 0"), b""),
        ("GET", (*ASKING, "Content-Length: 2"), b"{}"),
        ("GET", (*ASKING, "Transfer-Encoding: chunked"), b"0\r\n\r\n"),
        ("GET", ASKING[1:], b""),
        ("GET", (*ASKING[:2], ASKING[3]), b""),
    ],
    ids=["method", "sized body", "chunked body", "no Connection", "no key"],
)
def test_a_poor_handshake_is_refused(
    gateway: RunningGateway, order: StandIn, method: str, fields: tuple[str, ...], body: bytes
) -> None:
    assert gateway.ask(method, TARGET, *fields, body=body).status == 400
    assert order.seen == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{SHOP}.evil.example", "http://[", ""])
def test_pages_of_other_sites_open_none(gateway: RunningGateway, order: StandIn, origin: str) -> None:
    reply = gateway.ask("GET", TARGET, *ASKING, f"Origin: {origin}")
    assert (reply.status, reply.json()["code"]) == (403, "forbidden")
    assert order.seen == []


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:8000", "http://localhost"])
def test_pages_of_the_store_and_of_allowed_origins_do(gateway: RunningGateway, sockets: StandIn, origin: str) -> None:
    with gateway.connect() as client:
        opened(client, f"Origin: {origin}")


def test_a_token_that_is_sent_is_verified_before_anything_else(gateway: RunningGateway, sockets: StandIn) -> None:
    assert gateway.ask("GET", TARGET, *ASKING, "Authorization: Bearer nonsense").status == 401
    assert sockets.seen == []
    with gateway.connect() as client:
        opened(client, f"Authorization: {bearer()['Authorization']}")


@pytest.fixture
def impatient() -> Iterator[RunningGateway]:
    with running_gateway(stand_ins(), UPSTREAM_IDLE_SECONDS="0.6") as gateway:
        gateway.services["order"].on(PATH, repeat)
        yield gateway


def test_a_silent_tunnel_ends_and_one_that_is_used_stays(impatient: RunningGateway) -> None:
    with impatient.connect() as busy, impatient.connect() as silent:
        opened(busy)
        opened(silent)
        assert received(busy, 5) == received(silent, 5) == b"hello"
        ended = threading.Event()
        threading.Thread(target=lambda: silent.is_closed() and ended.set()).start()
        while not ended.wait(0.1):
            busy.send(b"still here")
            assert received(busy, 10) == b"still here"


def test_a_stop_ends_tunnels_at_once(impatient: RunningGateway) -> None:
    with impatient.connect() as client:
        opened(client)
        received(client, 5)
        impatient.process.terminate()
        assert client.is_closed()
        assert impatient.process.wait(10) == 0
