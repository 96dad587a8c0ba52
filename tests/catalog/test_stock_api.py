"""Stock as the staff see and correct it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from catalog_service.domain import reservations, stock
from catalog_service.events import HANDLERS
from catalog_service.models import Book
from common.events.administration import CatalogAdminActed
from common.events.catalog import BookRestocked, StockChanged
from tests.catalog.test_stock_events import placed
from tests.support.database import deliver, emitted
from tests.support.tokens import bearer


@pytest.fixture
def correct(client, admin):
    def patch(book_id, **body):
        return client.patch(f"/api/v1/books/{book_id}/stock", json=body, headers=admin)

    return patch


def test_movements_explain_the_stock(client, add_book, correct):
    staff = bearer(role="admin", subject="0190a0a0-0000-7000-8000-000000000001")
    book = add_book()["id"]
    path = f"/api/v1/books/{book}/stock"
    client.patch(path, json={"delta": 7, "reason": "delivery"}, headers=staff)
    client.patch(path, json={"delta": -2, "reason": "water damage"}, headers=staff)
    assert correct(book, on_hand=6).json == {"on_hand": 6, "reserved": 0, "available": 6}
    assert correct(book, on_hand=6).status_code == 200
    shown = client.get(path, headers=staff).json
    assert (shown["on_hand"], shown["reserved"], shown["available"]) == (6, 0, 6)
    moved = [(each["kind"], each["quantity"], each["reason"]) for each in shown["movements"]]
    assert moved == [("corrected", 1, None), ("corrected", -2, "water damage"), ("received", 7, "delivery")]
    assert shown["movements"][-1]["actor"] == "0190a0a0-0000-7000-8000-000000000001"


def test_movements_are_paged(client, admin, add_book, correct):
    book = add_book()["id"]
    for number in range(1, 6):
        correct(book, on_hand=number)
    path = f"/api/v1/books/{book}/stock?limit=3"
    first = client.get(path, headers=admin).json
    second = client.get(f"{path}&cursor={first['next_cursor']}", headers=admin).json
    assert (len(first["movements"]), len(second["movements"]), second["next_cursor"]) == (3, 2, None)


def test_stock_never_falls_below_what_is_reserved(add_book, correct, stock_of, database):
    book = add_book(stock=5)["id"]
    deliver(database, HANDLERS, placed(uuid4(), (book, 3)))
    for body in ({"on_hand": 2}, {"delta": -3, "reason": "lost"}):
        answer = correct(book, **body)
        assert (answer.status_code, answer.json["code"]) == (409, "below_reserved")
    assert correct(book, on_hand=3).json["available"] == 0
    assert stock_of(book) == (3, 3)


SENSELESS: list[dict[str, Any]] = [
    {},
    {"on_hand": -1},
    {"on_hand": 2**31},
    {"on_hand": 1, "delta": 1, "reason": "x"},
    {"delta": 1},
    {"delta": 0, "reason": "x"},
    {"delta": 2**31, "reason": "x"},
    {"delta": "many", "reason": "x"},
    {"on_hand": None},
    {"quantity": 1},
]


def test_a_correction_that_makes_no_sense_is_refused(add_book, correct, stock_of):
    book = add_book(stock=2)["id"]
    assert [(body, correct(book, **body).status_code) for body in SENSELESS] == [(body, 422) for body in SENSELESS]
    assert stock_of(book) == (2, 0)


def test_stock_has_an_upper_bound(add_book, correct):
    book = add_book()["id"]
    assert correct(book, on_hand=stock.MAX_STOCK).status_code == 200
    assert correct(book, delta=1, reason="x").status_code == 422


def test_stock_of_an_unknown_book(client, admin, correct):
    assert correct(uuid4(), on_hand=1).status_code == 404
    assert client.get(f"/api/v1/books/{uuid4()}/stock", headers=admin).status_code == 404


def test_from_none_to_some_is_a_restock(add_book, correct, database):
    book = add_book()["id"]
    for on_hand in (3, 5, 0, 1):
        correct(book, on_hand=on_hand)
    events = emitted(database)
    assert [event.available for event in events if isinstance(event, BookRestocked)] == [3, 1]
    changed = [event for event in events if isinstance(event, StockChanged)]
    assert [event.available for event in changed] == [3, 5, 0, 1]
    assert [event.version for event in changed] == [2, 3, 4, 5]


def test_the_trail_of_corrections_has_no_gap_when_they_come_at_once(app, add_book, admin, database):
    path = f"/api/v1/books/{add_book(stock=1)['id']}/stock"

    def add_one(_):
        body = {"delta": 1, "reason": "delivery"}
        return app.test_client().patch(path, json=body, headers=admin).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add_one, range(24))) == {200}
    acts = [event for event in emitted(database) if isinstance(event, CatalogAdminActed)]
    told = sorted((act.before["on_hand"], act.after["on_hand"]) for act in acts if act.action == "stock.corrected")
    assert told == [(number, number + 1) for number in range(25)]


def test_a_ledger_that_was_tampered_with_is_found(add_book, database):
    book = add_book(code="WRONG", stock=2)["id"]
    add_book(code="RIGHT", stock=2)
    with database.transaction() as session:
        session.execute(text("UPDATE books SET on_hand = 3 WHERE id = :id"), {"id": book})
        (wrong,) = stock.disagreements(session)
    assert (wrong["code"], wrong["on_hand"], wrong["ledger_on_hand"]) == ("WRONG", 3, 2)


def test_the_database_itself_refuses_to_oversell(add_book, database):
    book = add_book(stock=2)["id"]
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(text("UPDATE books SET reserved = 3 WHERE id = :id"), {"id": book})


def test_stock_is_read_after_the_lock_even_if_the_session_knew_the_book(add_book, database, stock_of):
    book = UUID(add_book(stock=2)["id"])
    with database.transaction() as session:
        assert session.get(Book, book).on_hand == 2
        with database.transaction() as other:
            reservations.reserve(other, uuid4(), {book: 2})
        reservations.reserve(session, uuid4(), {book: 1})
    assert stock_of(book) == (2, 2)
