"""Orders followed live over Socket.IO, through the gateway, by python-socketio's own client."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import pytest
import requests
from websocket import ABNF, WebSocket, WebSocketException, WebSocketTimeoutException, create_connection

from tests.gateway.conftest import running_gateway, stand_ins
from tests.support import tokens
from tests.support.live_client import ConnectionRefused, LiveClient
from tests.support.shopper import Person, Staff
from tests.support.stack import Stack
from tests.support.tokens import claims, sign
from tests.support.waiting import eventually


def token_of(person: Person) -> str:
    return str(person.http.headers["Authorization"]).removeprefix("Bearer ")


def follow(url: str, person: Person, last_event_id: str | None = None) -> LiveClient:
    return LiveClient(url, {"token": token_of(person)} | ({"last_event_id": last_event_id} if last_event_id else {}))


def told(client: LiveClient) -> tuple[str, str]:
    update = client.next()
    return update["order_id"], update["status"]


@pytest.fixture
def book_id(admin: Staff) -> str:
    return admin.add_book("Sockets and Sensibility", on_hand=50)


@pytest.fixture(scope="module")
def second(store: Stack) -> Iterator[str]:
    """Another instance of the process that holds the streams, asked directly."""
    with store.another("order-stream") as url:
        yield url


def test_an_order_is_followed_and_nobody_elses_is_seen(store: Stack, buyer: Person, book_id: str) -> None:
    stranger = Person.register(store.gateway)
    with follow(store.gateway, buyer) as mine, follow(store.gateway, stranger) as theirs:
        order_id = buyer.order(book_id).json()["id"]
        other_id = stranger.order(book_id).json()["id"]
        assert [told(mine), told(mine)] == [(order_id, "PENDING"), (order_id, "CONFIRMED")]
        assert [told(theirs), told(theirs)] == [(other_id, "PENDING"), (other_id, "CONFIRMED")]


def test_an_update_is_what_the_documents_promise(store: Stack, buyer: Person, book_id: str) -> None:
    document = requests.get(f"{store.gateway}/api/asyncapi.json", timeout=10).json()
    promised = document["components"]["schemas"]["live.OrderUpdate"]
    with follow(store.gateway, buyer) as client:
        order = buyer.order(book_id).json()
        update = client.next()
    assert sorted(update) == sorted(promised["properties"]) == sorted(promised["required"])
    assert (update["number"], update["order_id"]) == (order["number"], order["id"])


def test_a_gap_loses_nothing_and_doubles_nothing(store: Stack, buyer: Person, book_id: str) -> None:
    with follow(store.gateway, buyer) as client:
        order_id = buyer.order(book_id).json()["id"]
        assert told(client) == (order_id, "PENDING")
        cursor = client.cursor
    buyer.send("POST", f"/orders/{order_id}/cancel").raise_for_status()
    store.restart("order-stream")
    with follow(store.gateway, buyer, cursor) as client:
        assert [told(client), told(client)] == [(order_id, "CONFIRMED"), (order_id, "CANCELLED")]


def test_a_connection_that_broke_before_its_first_update_is_taken_up(store: Stack, buyer: Person, book_id: str) -> None:
    with follow(store.gateway, buyer) as client:
        cursor = eventually(lambda: client.cursor)
    order_id = buyer.order(book_id).json()["id"]
    with follow(store.gateway, buyer, cursor) as client:
        assert told(client) == (order_id, "PENDING")


def test_an_older_transaction_delays_updates_and_loses_none(store: Stack, buyer: Person, book_id: str) -> None:
    older = psycopg2.connect(store.admin_url)  # type: ignore[attr-defined]
    with follow(store.gateway, buyer) as client, older.cursor() as cursor:
        eventually(lambda: client.cursor)
        cursor.execute("SELECT pg_current_xact_id()")
        order_id = buyer.order(book_id).json()["id"]
        assert client.is_quiet(for_seconds=0.5)
        older.rollback()
        assert [told(client), told(client)] == [(order_id, "PENDING"), (order_id, "CONFIRMED")]
    older.close()


def test_every_instance_tells_and_any_takes_up(store: Stack, second: str, buyer: Person, book_id: str) -> None:
    with follow(store.gateway, buyer) as here, follow(second, buyer) as there:
        order_id = buyer.order(book_id).json()["id"]
        assert (
            [told(here), told(here)] == [told(there), told(there)] == [(order_id, "PENDING"), (order_id, "CONFIRMED")]
        )
        cursor = here.cursor
    buyer.send("POST", f"/orders/{order_id}/cancel").raise_for_status()
    with follow(second, buyer, cursor) as there:
        assert told(there) == (order_id, "CANCELLED")


def test_the_events_of_a_stream_and_of_a_socket_have_the_same_cursors(
    store: Stack, buyer: Person, book_id: str
) -> None:
    """A client may change from one to the other."""
    buyer.order(book_id).raise_for_status()
    with follow(store.gateway, buyer, "1-" + 32 * "0") as client:
        client.next()
        last_id = client.cursor
    authorization = {"Authorization": str(buyer.http.headers["Authorization"]), "Last-Event-ID": last_id}
    events = f"{store.gateway}/api/v1/orders/events"
    with requests.get(events, headers=authorization, stream=True, timeout=20) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert b'"CONFIRMED"' in next(line for line in lines if line.startswith(b"data: "))


def test_a_revoked_session_ends_within_a_second(store: Stack, buyer: Person) -> None:
    with follow(store.gateway, buyer) as client:
        eventually(lambda: client.cursor)
        buyer.send("POST", "/auth/logout").raise_for_status()
        since = time.monotonic()
        assert client.has_ended(within=3)
        assert time.monotonic() - since < 1.5  # a second, and a busy machine


def test_a_stop_ends_connections_and_is_not_held_up(store: Stack, buyer: Person) -> None:
    with follow(store.gateway, buyer) as client:
        eventually(lambda: client.cursor)
        since = time.monotonic()
        stopping = threading.Thread(target=store.kill, args=["order-stream", signal.SIGTERM])
        stopping.start()
        try:
            assert client.has_ended(within=10)
            stopping.join()
            assert time.monotonic() - since < 20  # what does not end by itself is ended after 25
        finally:
            stopping.join()
            store.start("order-stream")


def test_a_deactivated_person_is_followed_no_longer(store: Stack, admin: Staff, buyer: Person) -> None:
    user_id = buyer.get("/users/me")["id"]
    with follow(store.gateway, buyer) as client:
        admin.send("PATCH", f"/admin/users/{user_id}/deactivate").raise_for_status()
        assert client.has_ended(within=3)
    with pytest.raises(ConnectionRefused) as refused:
        follow(store.gateway, buyer)
    assert refused.value.problem["code"] == "unauthorized"


@pytest.mark.parametrize("auth", [None, {}, "text", ["x"], {"token": ""}, {"token": "x.y.z"}, {"token": {"a": 1}}])
def test_without_a_good_token_nobody_is_let_in(store: Stack, auth: Any) -> None:
    with pytest.raises(ConnectionRefused) as refused:
        LiveClient(store.gateway, auth)
    assert refused.value.problem["status"] == 401


@pytest.fixture(scope="module")
def ours(store: Stack) -> Iterator[str]:
    """An instance behind a gateway that both trust the tests' key: for tokens such as nobody is given."""
    services = stand_ins()
    with (
        store.another("order-stream", AUTH_URL=services["auth"].url, PUBLIC_URL=tokens.ISSUER) as stream,
        running_gateway(services, ORDER_STREAM_URL=stream) as gateway,
    ):
        yield f"http://127.0.0.1:{gateway.port}"


def test_the_connection_ends_with_its_token(ours: str) -> None:
    expires = int(time.time()) + 2
    with LiveClient(ours, {"token": sign(claims(exp=expires))}) as client:
        assert client.has_ended(within=4)
        assert expires <= time.time() < expires + 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"scopes": ("orders:write",)}, 403),
        ({"role": None, "scopes": ("orders:read",)}, 403),
        ({"exp": 1}, 401),
        ({"aud": "elsewhere"}, 401),
        ({"cnf": {"jkt": "x"}}, 401),
    ],
    ids=["scope", "service", "expired", "audience", "bound to a key"],
)
def test_a_token_that_will_not_do_is_refused(ours: str, changes: dict[str, Any], status: int) -> None:
    with pytest.raises(ConnectionRefused) as refused:
        LiveClient(ours, {"token": sign(claims(**changes))})
    assert refused.value.problem["status"] == status


JOIN = "40" + json.dumps({"token": sign(claims())})


@contextmanager
def bare(url: str, *messages: str | bytes) -> Iterator[WebSocket]:
    """What somebody sends who has no library for it."""
    socket = create_connection(url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket", timeout=5)
    try:
        assert str(socket.recv()).startswith("0{")
        for each in messages:
            socket.send(each, ABNF.OPCODE_BINARY if isinstance(each, bytes) else ABNF.OPCODE_TEXT)
        yield socket
    finally:
        socket.close()


def last_words(socket: WebSocket) -> list[str]:
    """All that comes until the other side ends the connection."""
    said = []
    with suppress(WebSocketException, OSError):
        while message := socket.recv():
            said.append(str(message))
    assert not socket.connected
    return said


@pytest.mark.parametrize("message", ["x", "", "bQ", "4" + "[" * 9000, "4" * 20_000, b"4"])
def test_what_is_no_message_of_engine_io_ends_the_connection(ours: str, message: str | bytes) -> None:
    with bare(ours, message) as socket:
        assert last_words(socket) == []


@pytest.mark.parametrize("message", ["7", "9", "4x", "44", "45100000-[]", "42[", "4" + "9" * 30])
def test_what_is_no_message_of_socket_io_is_passed_over(ours: str, message: str) -> None:
    with bare(ours, message, JOIN) as socket:
        assert str(socket.recv()).startswith("40{")


def test_a_strangers_flood_of_frames_holds_up_nobody(ours: str) -> None:
    with LiveClient(ours, {"token": sign(claims())}), bare(ours) as stranger:
        with suppress(OSError):
            stranger.sock.sendall(b"\x01\x80\x00\x00\x00\x00" + b"\x00\x80\x00\x00\x00\x00" * 100_000)
        began = time.monotonic()
        with LiveClient(ours, {"token": sign(claims())}):
            assert time.monotonic() - began < 1


def test_one_connection_follows_one_person_once(ours: str) -> None:
    with bare(ours, JOIN, "41", JOIN) as socket:
        assert str(socket.recv()).startswith("40{")
        assert any(str(socket.recv()).startswith("44{") for _ in range(2))


def test_there_is_nothing_else_to_join_and_nothing_to_say(ours: str) -> None:
    with bare(ours, "40/admin,", JOIN, '42["order_update",{"order_id":"1"}]', '421["anything"]') as socket:
        said = [str(socket.recv()) for _ in range(3)]
        assert [each[:3] for each in said] == ["44/", "40{", "42["]
        socket.settimeout(0.3)
        with pytest.raises(WebSocketTimeoutException):
            socket.recv()


@pytest.mark.parametrize("cursor", ["12-abc", 7, {"a": 1}])
def test_a_foreign_cursor_is_refused(store: Stack, buyer: Person, cursor: Any) -> None:
    with pytest.raises(ConnectionRefused) as refused:
        LiveClient(store.gateway, {"token": token_of(buyer), "last_event_id": cursor})
    assert refused.value.problem["code"] == "invalid"


def test_the_header_will_do_for_clients_that_can_send_one(store: Stack, buyer: Person, book_id: str) -> None:
    authorization = {"Authorization": str(buyer.http.headers["Authorization"])}
    with LiveClient(store.gateway, None, headers=authorization) as client:
        order_id = buyer.order(book_id).json()["id"]
        assert told(client) == (order_id, "PENDING")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_polling_is_refused_in_words(store: Stack, method: str) -> None:
    address = f"{store.gateway}/socket.io/?EIO=4&transport=polling"
    answer = requests.request(method, address, timeout=10)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.status_code == (400 if method == "GET" else 405)
    if method == "GET":
        assert answer.json()["code"] == "websocket_only"
        assert "transports" in answer.json()["detail"]
