"""The replica of books, fetched anew from a catalog."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from common import contacts
from common.client import ServiceClient
from common.db import Database
from common.events import Event
from common.events.auth import UserUpdated
from common.events.catalog import BookAdded, BookChanged
from common.ids import new_id
from order_service.commands import fetch_all
from order_service.events import HANDLERS
from order_service.models import Book, Customer
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver


class Catalog(ServiceClient):
    """Answers as the catalog's internal API does, one book a page."""

    def __init__(self, *states: BookAdded) -> None:
        self.states = list(states)
        self.calls = 0

    def get(self, path: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        self.calls += 1
        assert path == "/internal/books"
        if params and "id" in params:
            return self._some(params["id"])
        at = int((params or {}).get("cursor", 0))
        following = str(at + 1) if at + 1 < len(self.states) else None
        return {"items": [self.states[at].model_dump(mode="json")], "next_cursor": following}

    def _some(self, book_ids: list[str]) -> dict[str, Any]:
        assert len(book_ids) <= 100, "the catalog takes no more"
        found = [state.model_dump(mode="json") for state in self.states if str(state.book_id) in book_ids]
        return {"items": found, "next_cursor": None}


def replica(database: Database) -> dict[UUID, tuple[int, Decimal]]:
    with database.read() as session:
        return {book.book_id: (book.version, book.price) for book in session.scalars(select(Book))}


def test_a_rebuild_brings_every_book_and_keeps_newer_events(shop: Shop, database: Database) -> None:
    changed, lost, gone = new_id(), new_id(), new_id()
    for book_id in (changed, gone):
        deliver(database, HANDLERS, told(book_id))
    deliver(database, HANDLERS, BookChanged(**told(changed, version=7, price=Decimal("7.00")).model_dump()))
    catalog = Catalog(told(changed, version=6, price=Decimal("6.00")), told(lost, version=2))
    assert fetch_all(database, catalog) == 2
    assert replica(database) == {changed: (7, Decimal("7.00")), lost: (2, Decimal("12.99"))}
    assert fetch_all(database, catalog) == 2
    assert set(replica(database)) == {changed, lost}


class Auth(ServiceClient):
    """Tells of users in one page, and of what happens while it is read."""

    def __init__(self, database: Database, users: dict[UUID, str], *meanwhile: Event) -> None:
        self.database, self.users, self.meanwhile = database, users, meanwhile

    def get(self, path: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        assert path == "/internal/users"
        for event in self.meanwhile:
            deliver(self.database, HANDLERS, event)
        items = [{"user_id": str(id), "username": "ada", "email": email} for id, email in self.users.items()]
        return {"items": items, "next_cursor": None}


def addresses(database: Database) -> dict[UUID, str]:
    with database.read() as session:
        return {each.user_id: each.email for each in session.scalars(select(Customer))}


def test_a_rebuild_of_customers_takes_nothing_back_that_is_told_meanwhile(database: Database) -> None:
    def told_of(id: UUID, email: str) -> UserUpdated:
        return UserUpdated(user_id=id, username="ada", email=email, role="customer")

    moved, damaged, lost, gone, new = (new_id() for _ in range(5))
    for id in (moved, damaged, gone):
        deliver(database, HANDLERS, told_of(id, "old@example.com"))
    auth = Auth(
        database,
        {moved: "old@example.com", damaged: "right@example.com", lost: "lost@example.com"},
        told_of(moved, "new@example.com"),
        told_of(new, "just@example.com"),
    )
    assert contacts.rebuild(database, Customer, auth) == 3
    assert addresses(database) == {
        moved: "new@example.com",
        damaged: "right@example.com",
        lost: "lost@example.com",
        new: "just@example.com",
    }


def test_a_book_made_a_moment_ago_can_be_ordered(shop: Shop) -> None:
    book_id = new_id()
    shop.client.application.extensions["catalog"] = Catalog(told(book_id))
    assert shop.place(book_id).status_code == 201
    absent = shop.place(new_id())
    assert (absent.status_code, absent.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/orders", "/orders/quote"])
def test_the_catalog_is_asked_once_about_all_that_is_unknown(shop: Shop, path: str) -> None:
    made = [told(new_id()) for _ in range(99)]
    catalog = shop.client.application.extensions["catalog"] = Catalog(*made)
    lines = [{"book_id": str(each.book_id), "quantity": 1} for each in made]
    absent = shop.post(path, {"items": [*lines, {"book_id": str(new_id()), "quantity": 1}]})
    assert (absent.status_code, catalog.calls) == (404, 1)
    assert shop.post(path, {"items": lines}).status_code < 300
    assert catalog.calls == 1, "what it told is known now"
