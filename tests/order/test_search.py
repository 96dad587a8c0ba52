"""What the staff find by a few characters, and that it does not read through all orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Select, text
from sqlalchemy.orm import Session

from common.db import Database
from common.events.auth import UserRegistered
from common.ids import new_id
from order_service.domain import search, views
from order_service.events import HANDLERS
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver


def titled(database: Database, title: str, *, book_id: UUID | None = None, version: int = 1) -> UUID:
    book_id = book_id or new_id()
    deliver(database, HANDLERS, told(book_id, code=f"B-{book_id}", title=title, price=Decimal("5.00"), version=version))
    return book_id


def register(shop: Shop, database: Database, name: str, email: str) -> Shop:
    """Another customer of the same store."""
    other = Shop(shop.client, database)
    deliver(database, HANDLERS, UserRegistered(user_id=other.user_id, username=name, email=email, role="customer"))
    return other


def found(shop: Shop, **query: Any) -> list[str]:
    answer = shop.client.get("/api/v1/admin/orders", query_string=query, headers=shop.staff)
    assert answer.status_code == 200, answer.json
    return [each["id"] for each in answer.json["items"]]


@pytest.fixture(params=["each that is meant", "the whole list"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for what is in few orders, and one for what is in many, find the same."""
    if request.param == "the whole list":
        monkeypatch.setattr(search, "FEW_BOOKS", -1)


def test_a_title_is_found_by_what_stands_in_it(shop: Shop, database: Database, either_way: None) -> None:
    emma, percent = titled(database, "Emma's 1st Élan"), titled(database, "100% _ Wool")
    order, other = shop.place(emma).json["id"], shop.place(percent).json["id"]
    for q in ("emma", "EMMA'S", "a's 1st", "ÉLAN", "em", "E"):
        assert found(shop, q=q) == [order], q
    for q in ("0% _", "100%", "10"):
        assert found(shop, q=q) == [other], q
    for q in ("%%", "%%%", "___", "\\", "mm", "(", "emma%"):
        assert found(shop, q=q) == [], q


def test_a_title_under_which_a_book_was_sold_stays_findable(shop: Shop, database: Database, either_way: None) -> None:
    book = titled(database, "Northern Lights")
    before = shop.place(book).json["id"]
    titled(database, "The Golden Compass", book_id=book, version=2)
    shop.place(book)
    assert before in found(shop, q="northern")


def test_a_number_is_found_whole_by_its_beginning_and_by_its_running_part(
    shop: Shop, database: Database, book: UUID, either_way: None
) -> None:
    order, other = (shop.place(book).json for _ in range(2))
    year, _, running = order["number"].partition("-")
    for q in (order["number"], running, running.lstrip("0")):
        assert found(shop, q=q) == [order["id"]], q
    assert found(shop, q=f"{year}-0") == [other["id"], order["id"]]
    assert found(shop, q="999999999999") == []


def test_a_whole_number_means_no_title(shop: Shop, database: Database, book: UUID) -> None:
    order = shop.place(book).json
    shop.place(titled(database, f"The case of {order['number']}"))
    assert found(shop, q=order["number"]) == [order["id"]]


def test_a_customer_is_found_by_name_and_address(shop: Shop, database: Database, book: UUID, either_way: None) -> None:
    jane = register(shop, database, "jane", "Jane.Austen@example.org")
    janet = register(shop, database, "janet", "x.jane.austen@example.org")
    shop.place(book)
    by_jane, by_janet = (each.place(book).json["id"] for each in (jane, janet))
    assert found(shop, q="jane") == [by_janet, by_jane]
    assert found(shop, q="ja") == [by_janet, by_jane]
    assert found(shop, q="janet") == found(shop, q="x.jane") == [by_janet]
    assert found(shop, q="jane.austen@example.org") == [by_jane]
    assert found(shop, q="austen@example.org") == [by_janet, by_jane]
    assert found(shop, q="jane.austen_example.org") == []
    assert found(shop, q="nobody@example.org") == []


def test_pages_of_what_was_found_follow_each_other(shop: Shop, database: Database, either_way: None) -> None:
    books = [titled(database, f"Volume {number}") for number in range(3)]
    placed = [shop.place(books[number % 3]).json["id"] for number in range(7)]
    shop.place(titled(database, "Something else"))
    pages, cursor = [], None
    while cursor != "":
        query = {"q": "volume", "limit": 2, "total": "true", **({"cursor": cursor} if cursor else {})}
        page = shop.client.get("/api/v1/admin/orders", query_string=query, headers=shop.staff).json
        pages.append([each["id"] for each in page["items"]])
        cursor = page["next_cursor"] or ""
        assert page["total"] == 7
    assert [each for page in pages for each in page] == placed[::-1]
    assert [len(page) for page in pages] == [2, 2, 2, 1]


def test_what_was_found_is_filtered_too(shop: Shop, database: Database, either_way: None) -> None:
    book = titled(database, "Persuasion")
    paid, other = shop.paid(book), register(shop, database, "other", "other@example.org")
    theirs = other.place(book).json["id"]
    assert found(shop, q="persuasion") == [theirs, paid]
    assert found(shop, q="persuasion", status="PAID") == [paid]
    assert found(shop, q="persuasion", user=str(other.user_id)) == [theirs]
    assert found(shop, q="persuasion", to="2001-01-01T00:00:00Z") == []
    exported = shop.client.get("/api/v1/admin/orders/export?q=persuasion&status=PAID", headers=shop.staff).text
    assert len(exported.splitlines()) == 2
    assert paid in exported


def test_an_export_of_what_was_found_goes_on_behind_each_batch(
    shop: Shop, database: Database, either_way: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("order_service.orders_csv.BATCH", 2)
    book = titled(database, "Persuasion")
    placed = [shop.place(book).json["number"] for _ in range(5)]
    lines = shop.client.get("/api/v1/admin/orders/export?q=persuasion", headers=shop.staff).text.splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == placed[::-1]


@pytest.mark.parametrize("q", ["persuasion", "pe", "2026-000001", "1984", "jane@example.org", "jane"])
def test_no_search_reads_through_orders_or_their_lines(session: Session, q: str) -> None:
    for statement in MADE:
        session.execute(text(statement))
    wanted = search.orders(session, views.ORDERS, q)
    for page in (None, [utc_now(session), new_id()]):
        assert read_through(session, wanted.batch(page, 21)) == set()


MADE = (
    """
    INSERT INTO orders (id, number, user_id, status, from_cart, subtotal, discount, shipping, tax, total, currency,
        payment_ttl, placed_at, updated_at)
    SELECT gen_random_uuid(), '2026-' || lpad(n::text, 6, '0'), md5((n % 500)::text)::uuid, 'PAID', true, 10, 0, 0, 0,
        10, 'USD', '30 min', now() - n * interval '1 minute', now()
    FROM generate_series(1, 3000) n
    """,
    """
    INSERT INTO order_items (order_id, position, book_id, title, quantity, unit_price, line_total)
    SELECT id, 1, md5(number)::uuid, CASE WHEN number LIKE '%7' THEN 'Persuasion ' ELSE 'Book ' END || number, 1, 10, 10
    FROM orders
    """,
    """
    INSERT INTO customers SELECT md5(n::text)::uuid, 'Reader ' || n, n || '@example.org' FROM generate_series(1, 500) n
    """,
    "INSERT INTO customers VALUES (gen_random_uuid(), 'jane', 'jane@example.org')",
    "ANALYZE orders, order_items, book_orders, sold_titles, customers",
)


def utc_now(session: Session) -> Any:
    return session.scalar(text("SELECT now()"))


def read_through(session: Session, statement: Select[Any]) -> set[str]:
    """The tables that the plan reads from one end to the other."""
    written = statement.compile(session.connection(), compile_kwargs={"literal_binds": True})
    plan = "\n".join(session.scalars(text(f"EXPLAIN {written}".replace(":", "\\:"))))
    return {table for table in ("orders", "order_items", "book_orders") if f"Seq Scan on {table}" in plan}
