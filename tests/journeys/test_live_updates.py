"""Orders followed live, through the gateway, by a client of Server-Sent Events."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.event_source import EventSource, ServerEvent
from tests.support.shopper import Person, Staff
from tests.support.stack import Stack

PATH = "/api/v1/orders/events"


def follow(store: Stack, person: Person, last_id: str | None = None) -> EventSource:
    authorization = str(person.http.headers["Authorization"])
    source = EventSource(store.gateway + PATH, {"Authorization": authorization}, last_id=last_id, timeout=20)
    assert source.answer.status_code == 200, source.answer.text
    return source


def told(event: ServerEvent) -> tuple[str, str]:
    assert event.name == "order_update"
    data = json.loads(event.data)
    return data["order_id"], data["status"]


@pytest.fixture
def book_id(admin: Staff) -> str:
    return admin.add_book("Live and Let Read", on_hand=50)


def test_an_order_is_followed_and_nobody_elses_is_seen(store: Stack, buyer: Person, book_id: str) -> None:
    stranger = Person.register(store.gateway)
    with follow(store, buyer) as mine, follow(store, stranger) as theirs:
        order_id = buyer.order(book_id).json()["id"]
        other_id = stranger.order(book_id).json()["id"]
        assert [told(mine.next()), told(mine.next())] == [(order_id, "PENDING"), (order_id, "CONFIRMED")]
        assert [told(theirs.next()), told(theirs.next())] == [(other_id, "PENDING"), (other_id, "CONFIRMED")]


def test_a_gap_loses_nothing_and_doubles_nothing(store: Stack, buyer: Person, book_id: str) -> None:
    with follow(store, buyer) as source:
        order_id = buyer.order(book_id).json()["id"]
        assert told(source.next()) == (order_id, "PENDING")
        last_id = source.last_id
    buyer.send("POST", f"/orders/{order_id}/cancel").raise_for_status()
    store.restart("order-stream")
    with follow(store, buyer, last_id) as source:
        assert [told(source.next()), told(source.next())] == [(order_id, "CONFIRMED"), (order_id, "CANCELLED")]


def test_a_stream_that_broke_before_its_first_event_is_taken_up(store: Stack, buyer: Person, book_id: str) -> None:
    with follow(store, buyer) as source:
        first = next(line for line in source.answer.iter_lines(chunk_size=1) if line.startswith(b"id: "))
    order_id = buyer.order(book_id).json()["id"]
    with follow(store, buyer, first.removeprefix(b"id: ").decode()) as source:
        assert told(source.next()) == (order_id, "PENDING")


def test_a_revoked_token_ends_the_stream(store: Stack, buyer: Person) -> None:
    with follow(store, buyer) as source:
        buyer.send("POST", "/auth/logout").raise_for_status()
        since = time.monotonic()
        assert not list(source)
        assert time.monotonic() - since < 3


def test_a_token_in_the_address_is_none(store: Stack, buyer: Person) -> None:
    token = str(buyer.http.headers["Authorization"]).removeprefix("Bearer ")
    with EventSource(f"{store.gateway}{PATH}?access_token={token}", {}) as source:
        assert source.answer.status_code == 401


def test_a_foreign_cursor_is_refused(store: Stack, buyer: Person) -> None:
    headers = {"Authorization": str(buyer.http.headers["Authorization"])}
    with EventSource(store.gateway + PATH, headers, last_id="12-abc") as source:
        assert source.answer.status_code == 422
