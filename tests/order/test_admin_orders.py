"""What the staff do with many orders: change them together, pack them, take them away as CSV."""

from __future__ import annotations

import csv
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from common.db import Database
from common.events.administration import OrdersAdminActed
from common.ids import new_id
from order_service import orders_csv
from order_service.api import admin
from order_service.config import OrderConfig
from order_service.events import HANDLERS
from order_service.timers import finish_payments
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver, emitted

ADDRESS = {"name": "=HYPERLINK(1)", "line1": "1 Road", "city": "-Town", "postal_code": "12345", "country": "US"}


def exported(shop: Shop, query: str = "") -> list[dict[str, str]]:
    answer = shop.get(f"/admin/orders/export{query}", staff=True)
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    return list(csv.DictReader(StringIO(answer.text)))


def bulk(shop: Shop, ids: list[str], status: str) -> Any:
    return shop.post("/admin/orders/bulk-status", {"order_ids": ids, "status": status}, staff=True)


def test_many_orders_are_changed_each_by_itself(shop: Shop, database: Database, book: UUID) -> None:
    first, second, unpaid, nobodys = shop.paid(book), shop.paid(book), shop.confirmed(book), str(new_id())
    answer = bulk(shop, [first, unpaid, nobodys, second, first], "SHIPPED")
    assert answer.status_code == 200
    told = [(each["order_id"], each["status"], (each["error"] or {}).get("code")) for each in answer.json["results"]]
    assert told == [
        (first, "SHIPPED", None),
        (unpaid, None, "illegal_transition"),
        (nobodys, None, "not_found"),
        (second, "SHIPPED", None),
    ]
    acted = [event.resource_id for event in emitted(database) if isinstance(event, OrdersAdminActed)]
    assert acted == [first, second]


def test_money_follows_when_many_are_refunded(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    assert bulk(shop, [order_id], "REFUNDED").json["results"][0]["status"] == "REFUNDED"
    assert shop.get(f"/orders/{order_id}").json["payment"]["refunded"] == "12.99"


def test_refunds_that_take_too_long_are_left_to_the_worker(
    shop: Shop, database: Database, book: UUID, config: OrderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "GIVES_BACK_FOR_SECONDS", 0.0)
    ids = [shop.paid(book), shop.paid(book)]
    told = bulk(shop, ids, "REFUNDED").json["results"]
    assert [(each["status"], each["error"]) for each in told] == [("PAID", None)] * 2
    with database.transaction() as session:
        session.execute(text("UPDATE refunds SET created_at = created_at - interval '1 minute'"))
    finish_payments(database, config)
    assert [shop.status(each) for each in ids] == ["REFUNDED"] * 2


@pytest.mark.parametrize("ids", [[], ["x"], [str(new_id()) for _ in range(101)]])
def test_an_odd_list_is_refused(shop: Shop, ids: list[str]) -> None:
    assert bulk(shop, ids, "SHIPPED").status_code == 422


def test_a_packing_slip_has_no_prices(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    answer = shop.get(f"/admin/orders/{order_id}/packing-slip", staff=True)
    assert (answer.status_code, answer.mimetype, answer.data[:5]) == (200, "application/pdf", b"%PDF-")
    assert shop.get(f"/admin/orders/{new_id()}/packing-slip", staff=True).status_code == 404


def test_the_export_has_all_orders_after_the_filters(
    shop: Shop, database: Database, book: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_csv, "BATCH", 2)
    ids = [shop.place(book).json["id"] for _ in range(4)]
    paid = shop.paid(book, 2)
    rows = exported(shop)
    assert [row["id"] for row in rows] == [paid, *ids[::-1]]
    assert (rows[0]["items"], rows[0]["units"], rows[0]["total"]) == ("2 x Middlemarch", "2", "25.98")
    assert (rows[0]["payment_status"], rows[1]["payment_status"]) == ("SUCCEEDED", "")
    assert [row["id"] for row in exported(shop, "?status=PAID")] == [paid]
    assert len(exported(shop, "?status=PENDING")) == 4
    assert exported(shop, f"?user={new_id()}") == []
    assert shop.get("/admin/orders/export?limit=2", staff=True).status_code == 422


def test_orders_are_found_by_day_or_time(shop: Shop, database: Database, book: UUID) -> None:
    first, second = (shop.place(book).json["id"] for _ in range(2))
    for order_id, at in {first: "2026-03-01T00:00:00Z", second: "2026-03-02T23:59:59.999999Z"}.items():
        with database.transaction() as session:
            session.execute(text("UPDATE orders SET placed_at = :at WHERE id = :id"), {"at": at, "id": order_id})
    for period, found in {
        "from=2026-03-01&to=2026-03-02": [second, first],
        "from=2026-03-02&to=2026-03-02": [second],
        "to=2026-03-01": [first],
        "from=2026-03-03": [],
        "from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z": [first],
        "from=2026-03-01T00:00:01Z&to=2026-03-02": [second],
        "to=2026-03-01T00:00:00Z": [],
        "from=2026-03-01T00:00:00-01:00&to=9999-12-31": [second],
    }.items():
        assert [each["id"] for each in shop.get(f"/admin/orders?{period}", staff=True).json["items"]] == found, period
        assert [row["id"] for row in exported(shop, f"?{period}")] == found, period


@pytest.mark.parametrize("value", ["2026-03-01T00:00:00", "2026-02-30", "1772323200", "yesterday"])
def test_what_is_neither_day_nor_time_is_refused(shop: Shop, value: str) -> None:
    for path in ("/admin/orders", "/admin/orders/export", "/admin/analytics/sales/summary"):
        answer = shop.get(f"{path}?from={value}", staff=True)
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "from")


def test_what_somebody_wrote_is_no_formula(shop: Shop, database: Database) -> None:
    book = new_id()
    deliver(database, HANDLERS, told(book, title="=1+1", price=Decimal("1.00")))
    body = {"items": [{"book_id": str(book), "quantity": 1}], "shipping_address": ADDRESS}
    assert shop.post("/orders", body).status_code == 201
    (row,) = exported(shop)
    assert (row["ship_to_name"], row["ship_to_city"]) == ("'=HYPERLINK(1)", "'-Town")
    assert row["items"] == "1 x =1+1"
    (raw,) = exported(shop, "?raw=true")
    assert (raw["ship_to_name"], raw["ship_to_city"]) == ("=HYPERLINK(1)", "-Town")


def test_all_of_it_is_for_the_staff(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    for path in ("/admin/orders/export", f"/admin/orders/{order_id}/packing-slip"):
        assert shop.get(path).status_code == 403
        assert shop.client.get(f"/api/v1{path}").status_code == 401
    assert shop.post("/admin/orders/bulk-status", {"order_ids": [order_id], "status": "SHIPPED"}).status_code == 403


def test_the_list_of_one_status_reads_no_other_orders(shop: Shop, database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = session.scalars(
            text("EXPLAIN SELECT id FROM orders WHERE status = 'PAID' ORDER BY placed_at DESC, id DESC LIMIT 20")
        )
        assert "ix_orders_status_placed_at_id" in "\n".join(plan)
