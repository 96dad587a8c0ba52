"""How sales went: sums that follow each order, and equal what counting anew would give."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from common.db import Database, utcnow
from common.ids import new_id
from order_service.domain import sales
from order_service.events import HANDLERS
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver

SUMS = ("daily_sales", "daily_book_sales", "monthly_book_sales", "daily_cancellations")


def analytics(shop: Shop, path: str, **query: str) -> Any:
    filters = "&".join(f"{name.rstrip('_')}={value}" for name, value in query.items())
    return shop.get(f"/admin/analytics/sales/{path}?{filters}", staff=True)


def held(database: Database) -> list[Any]:
    with database.read() as session:
        return [sorted(session.execute(text(f"SELECT * FROM {each}")).all(), key=str) for each in SUMS]


@pytest.fixture
def costed(database: Database) -> UUID:
    """A book of 20.00 that costs the store 8.00."""
    book_id = new_id()
    deliver(database, HANDLERS, told(book_id, title="Emma", price=Decimal("20.00"), cost_price=Decimal("8.00")))
    return book_id


@pytest.fixture
def traded(shop: Shop, database: Database, book: UUID, costed: UUID) -> None:
    """Two orders sold, a part of one given back, and one each of the ways to be called off."""
    shop.paid(book, 3)
    sold = shop.paid(costed)
    shop.post(f"/admin/orders/{sold}/refund", {"amount": "5.00"}, staff=True)
    shop.post(f"/orders/{shop.confirmed(book)}/cancel", {"reason": "my own words"})
    shop.move(shop.confirmed(book), "CANCELLED")
    shop.rejected(shop.place(book).json["id"], book)


def test_the_summary_of_a_period(shop: Shop, traded: None) -> None:
    told = analytics(shop, "summary").json
    assert (told["orders"], told["units"], told["revenue"], told["currency"]) == (2, 4, "58.97", "USD")
    assert (told["refunded"], told["net_revenue"], told["average_order"]) == ("5.00", "53.97", "29.48")
    assert (told["costed_revenue"], told["margin"], told["margin_percent"]) == ("20.00", "12.00", 60.0)
    assert {each["reason"]: each["orders"] for each in told["cancellations"]} == {
        "cancelled_by_customer": 1,
        "cancelled_by_staff": 1,
        "out_of_stock": 1,
    }
    assert (told["previous"]["orders"], told["change"]["revenue"]) == (0, None)


def test_of_an_included_tax_the_shippings_part_is_not_taken_from_the_books(shop: Shop, costed: UUID) -> None:
    shop.send("PUT", "/admin/tax-rates/DE", {"rate": "25", "included": True}, staff=True)
    shop.send("PUT", "/admin/shipping-methods/post", {"name": "Post", "price": "5.00"}, staff=True)
    address = {"name": "Ada", "line1": "1 Elm St", "city": "Berlin", "postal_code": "10115", "country": "DE"}
    lines = [{"book_id": str(costed), "quantity": 1}]
    order = shop.post("/orders", {"items": lines, "shipping_address": address}).json
    assert (order["tax"], order["total"]) == ("5.00", "25.00")
    shop.reserved(order["id"])
    shop.pay(order["id"])
    told = analytics(shop, "summary").json
    assert (told["costed_revenue"], told["margin"], told["margin_percent"]) == ("16.00", "8.00", 50.0)


def test_a_refund_alone_does_not_make_a_currency_the_one_sold_in_last(
    shop: Shop, database: Database, book: UUID
) -> None:
    shop.paid(book)
    refunded = "INSERT INTO daily_sales VALUES (CURRENT_DATE + 1, 'EUR', 0, 0, 0, 5, 0, 0)"
    with database.transaction() as session:
        session.execute(text(refunded))
    assert analytics(shop, "by-day").json["currency"] == "USD"


def test_a_period_is_compared_with_the_one_before_it(shop: Shop, database: Database, book: UUID) -> None:
    shop.paid(book)
    with database.transaction() as session:
        session.execute(text("UPDATE daily_sales SET day = day - 2"))
    shop.paid(book, 2)
    today = utcnow().date()
    told = analytics(shop, "summary", from_=str(today - timedelta(days=1)), to=str(today)).json
    assert (told["revenue"], told["previous"]["revenue"], told["change"]["revenue"]) == ("25.98", "12.99", 100.0)
    assert told["previous"]["from"] == str(today - timedelta(days=3))


def test_days_without_a_sale_are_there_too(shop: Shop, traded: None) -> None:
    today = utcnow().date()
    days = analytics(shop, "by-day", from_=f"{today - timedelta(days=6)}T00:00:00Z", to=f"{today}T12:00:00Z").json
    assert [each["orders"] for each in days["items"]] == [0] * 6 + [2]
    assert days["items"][-1]["day"] == str(today)


def test_midnight_elsewhere_means_the_day_that_it_is_here(shop: Shop, traded: None) -> None:
    told = analytics(shop, "summary", from_="2026-03-01T00:00:00%2B02:00", to="2026-03-01T00:00:00-02:00").json
    assert (told["from"], told["to"]) == ("2026-02-28", "2026-03-01")


def test_the_best_sellers_by_money_and_by_number(
    shop: Shop, database: Database, traded: None, book: UUID, costed: UUID
) -> None:
    shop.paid(costed)
    by_revenue = analytics(shop, "top-books", by="revenue").json["items"]
    assert [(each["title"], each["revenue"]) for each in by_revenue] == [("Emma", "40.00"), ("Middlemarch", "38.97")]
    with database.transaction() as session:
        session.execute(text("DELETE FROM books"))
    (first,) = analytics(shop, "top-books", by="quantity", limit="1").json["items"]
    assert (first["book_id"], first["title"], first["quantity"]) == (str(book), "Middlemarch", 3)


def test_months_and_days_together_are_each_day_once(shop: Shop, database: Database, book: UUID) -> None:
    shop.paid(book)
    spread = """
        INSERT INTO daily_book_sales SELECT day, 'USD', :book, 1, 10 FROM generate_series(
            CAST('2024-01-15' AS date), '2024-04-14', interval '1 day') day"""
    monthly = """
        INSERT INTO monthly_book_sales SELECT date_trunc('month', day), currency, book_id, sum(quantity), sum(revenue)
        FROM daily_book_sales WHERE day < '2025-01-01' GROUP BY 1, 2, 3"""
    with database.transaction() as session:
        session.execute(text(spread), {"book": str(book)})
        session.execute(text(monthly))
    wanted = [("2024-01-20", "2024-04-10"), ("2024-02-01", "2024-03-31"), ("2024-02-03", "2024-02-29")]
    wanted += [("2024-02-10", "2024-03-09"), ("2024-01-01", "2024-12-31"), ("2024-03-01", "2024-03-01")]
    for first, last in wanted:
        (found,) = analytics(shop, "top-books", from_=first, to=last).json["items"]
        days = (
            min(date.fromisoformat(last), date(2024, 4, 14)) - max(date.fromisoformat(first), date(2024, 1, 15))
        ).days
        assert found["quantity"] == days + 1, (first, last)


@pytest.mark.parametrize(
    "query",
    [
        {"from_": "2026-02-02", "to": "2026-02-01"},
        {"from_": "0001-01-01"},
        {"to": "x"},
        {"to": "9999-12-31"},
        {"to": "0.5"},
        {"from_": "1700000000"},
        {"from_": "0001-01-01T00:00:00%2B14:00"},
        {"to": "9999-12-31T23:00:00-02:00"},
    ],
)
def test_an_odd_period_is_refused(shop: Shop, query: dict[str, str]) -> None:
    assert analytics(shop, "summary", **query).status_code == 422
    assert analytics(shop, "summary", from_="0001-01-01", to="0001-01-03").status_code == 422


def test_the_sums_equal_a_recount(shop: Shop, database: Database, traded: None) -> None:
    before = held(database)
    assert all(before)
    for _ in range(2):
        with database.transaction() as session:
            sales.recount(session)
        assert held(database) == before


def test_they_are_for_the_staff(shop: Shop) -> None:
    for path in ("summary", "by-day", "top-books"):
        assert shop.get(f"/admin/analytics/sales/{path}").status_code == 403
