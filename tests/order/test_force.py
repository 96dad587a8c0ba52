"""What the staff do by force, and orders that the catalog forgot."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from common.db import Database
from common.events.administration import OrdersAdminActed
from common.events.orders import OrderPlaced, OrderRefunded
from order_service.config import OrderConfig
from order_service.timers import redrive_orders
from tests.order.shop import Shop
from tests.support.database import emitted


def force(shop: Shop, order_id: str, status: str, reason: str | None = "a mistake") -> Any:
    body = {"status": status, "force": True} | ({"reason": reason} if reason else {})
    return shop.send("PATCH", f"/orders/{order_id}/status", body, staff=True)


def test_force_needs_a_reason(shop: Shop, book: UUID) -> None:
    assert force(shop, shop.paid(book), "CANCELLED", reason=None).status_code == 422


@pytest.mark.parametrize("steps", [(), ("SHIPPED",), ("SHIPPED", "DELIVERED")])
def test_a_forced_cancellation_gives_money_and_books_back(
    shop: Shop, database: Database, book: UUID, steps: tuple[str, ...]
) -> None:
    order_id = shop.paid(book)
    for step in steps:
        shop.move(order_id, step)
    answer = force(shop, order_id, "CANCELLED")
    assert (answer.json["status"], answer.json["payment"]["refunded"]) == ("REFUNDED", "12.99")
    assert answer.json["history"][-1]["reason"] == "a mistake"
    told = emitted(database)
    assert [event.restock for event in told if isinstance(event, OrderRefunded)] == [True]
    acted = [event for event in told if isinstance(event, OrdersAdminActed)][-1]
    assert (acted.action, acted.resource_id, acted.reason) == ("order.forced", order_id, "a mistake")


def test_an_order_paid_some_other_way_can_be_refunded(shop: Shop, book: UUID) -> None:
    order_id = shop.confirmed(book)
    paid = force(shop, order_id, "PAID", "bank transfer").json
    assert (paid["status"], paid["payment"]["provider"], paid["payment"]["amount"]) == ("PAID", "manual", "12.99")
    assert shop.post(f"/orders/{order_id}/cancel").json["status"] == "REFUNDED"


def test_a_mistake_is_taken_back(shop: Shop, book: UUID) -> None:
    order_id = shop.paid(book)
    shop.move(order_id, "SHIPPED")
    assert force(shop, order_id, "PAID").json["status"] == "PAID"
    assert shop.pay(order_id).status_code == 409


def test_nothing_is_raised_from_the_dead_or_declared_in_stock(shop: Shop, book: UUID) -> None:
    pending = shop.place(book).json["id"]
    assert force(shop, pending, "CONFIRMED").status_code == 409
    assert force(shop, pending, "PAID").status_code == 409
    assert force(shop, pending, "CANCELLED").json["status"] == "CANCELLED"
    assert force(shop, pending, "PAID").json["code"] == "illegal_transition"


def test_an_order_without_a_decision_is_placed_again(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    order_id = shop.place(book).json["id"]
    redrive_orders(database, config)
    with database.transaction() as session:
        session.execute(text("UPDATE orders SET placed_at = placed_at - interval '1 hour'"))
    redrive_orders(database, config)
    redrive_orders(database, config)
    placed = [event for event in emitted(database) if isinstance(event, OrderPlaced)]
    assert len(placed) == 2
    assert placed[0] == placed[1]
    shop.reserved(order_id)
    shop.reserved(order_id)
    assert shop.status(order_id) == "CONFIRMED"
