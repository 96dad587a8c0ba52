"""The table of transitions against a model, and events that come late, twice or out of order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from common.db import Database
from common.events.catalog import BookChanged, StockChanged, StockReserved
from common.events.orders import OrderConfirmed
from common.ids import new_id
from order_service.config import OrderConfig
from order_service.domain import books, carts, idempotency, payments, promotions, status
from order_service.domain.status import IllegalTransition
from order_service.domain.totals import totals
from order_service.events import HANDLERS
from order_service.models import Book, Order, Payment, PaymentStatus, Refund, RefundStatus, Status
from order_service.payments import open_provider
from order_service.timers import expire_orders, finish_payments
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver, emitted
from tests.support.waiting import eventually

LEGAL = {
    ("PENDING", "CONFIRMED"),
    ("PENDING", "CANCELLED"),
    ("CONFIRMED", "PAID"),
    ("CONFIRMED", "PAYMENT_FAILED"),
    ("CONFIRMED", "CANCELLED"),
    ("PAYMENT_FAILED", "PAID"),
    ("PAYMENT_FAILED", "PAYMENT_FAILED"),
    ("PAYMENT_FAILED", "CANCELLED"),
    ("PAID", "SHIPPED"),
    ("PAID", "REFUNDED"),
    ("SHIPPED", "DELIVERED"),
    ("SHIPPED", "REFUNDED"),
    ("DELIVERED", "REFUNDED"),
}


def order_in(session: Session, found: Status) -> Order:
    zero = Decimal("0.00")
    order = Order(
        number=str(new_id())[-20:],
        user_id=new_id(),
        status=found,
        from_cart=False,
        subtotal=zero,
        discount=zero,
        shipping=zero,
        tax=zero,
        total=zero,
        currency="USD",
        payment_ttl=status.utcnow() - status.utcnow(),
    )
    session.add(order)
    session.flush()
    return order


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_only_these_transitions_exist(session: Session, before: Status, after: Status) -> None:
    order = order_in(session, before)
    if (before, after) in LEGAL:
        status.change(session, order, after, actor="test")
        assert order.status == after
    else:
        with pytest.raises(IllegalTransition):
            status.change(session, order, after, actor="test")
        assert order.status == before


cents = st.integers(0, 999_999_999).map(lambda number: Decimal(number) / 100)


@given(st.lists(st.tuples(st.integers(1, 99), cents), max_size=20))
def test_totals_are_exact_to_the_cent(lines: list[tuple[int, Decimal]]) -> None:
    in_cents = sum(quantity * int(price * 100) for quantity, price in lines)
    assert totals(lines).total * 100 == in_cents


def test_a_decision_told_twice_is_taken_once(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.confirmed(book)
    shop.reserved(order_id)
    shop.rejected(order_id, book)
    assert shop.status(order_id) == "CONFIRMED"
    assert len([event for event in emitted(database) if isinstance(event, OrderConfirmed)]) == 1


def test_a_decision_after_the_cancellation_changes_nothing(shop: Shop, book: UUID) -> None:
    order_id = shop.place(book).json["id"]
    shop.post(f"/orders/{order_id}/cancel")
    shop.reserved(order_id)
    assert shop.status(order_id) == "CANCELLED"


def test_a_decision_on_an_unknown_order_changes_nothing(database: Database) -> None:
    deliver(database, HANDLERS, StockReserved(order_id=new_id()))


def test_an_older_state_of_a_book_never_wins(session: Session) -> None:
    book_id = new_id()
    books.take_over(session, [told(book_id, version=5, price=Decimal("5.00"))])
    books.take_over(session, [BookChanged(**told(book_id, version=4, price=Decimal("4.00")).model_dump())])
    books.take_over_stock(session, StockChanged(book_id=book_id, version=5, available=99))
    book = session.get_one(Book, book_id)
    assert (book.version, book.price, book.available) == (5, Decimal("5.00"), 10)
    books.take_over_stock(session, StockChanged(book_id=book_id, version=6, available=3))
    session.expire_all()
    assert session.get_one(Book, book_id).available == 3


def overdue(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE orders SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL"))


def test_orders_that_nobody_pays_or_decides_expire(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    undecided, unpaid, paid = shop.place(book).json["id"], shop.confirmed(book), shop.paid(book)
    failed = shop.confirmed(book)
    shop.pay(failed, "tok_chargeDeclined")
    expire_orders(database, config)
    assert shop.status(unpaid) == "CONFIRMED"
    overdue(database)
    expire_orders(database, config)
    assert [shop.status(each) for each in (undecided, unpaid, failed, paid)] == ["CANCELLED"] * 3 + ["PAID"]
    reasons = [shop.get(f"/orders/{each}").json["history"][-1]["reason"] for each in (undecided, unpaid)]
    assert reasons == ["no_stock_decision", "unpaid"]


def test_an_order_that_expires_holds_nothing_while_another_waits(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    """Its cart, while the next one's promotion is taken by somebody who may be on the way to that cart."""
    promotion = {"code": "SPRING", "kind": "percent", "value": "10"}
    assert shop.post("/admin/promotions", promotion, staff=True).status_code == 201
    assert shop.post("/cart/items", {"book_id": str(book), "quantity": 1}).status_code == 201
    of_cart = shop.post("/orders").json["id"]
    promoted = shop.post(
        "/orders", {"items": [{"book_id": str(book), "quantity": 1}], "promotion_code": "SPRING"}
    ).json["id"]
    overdue(database)
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as buyer:
            promotions.lock(buyer, "SPRING", shop.user_id)
            expiry = pool.submit(expire_orders, database, config)
            eventually(lambda: shop.status(of_cart) == "CANCELLED", within=3)
            carts.lock(buyer, shop.user_id)
        expiry.result(10)
    assert shop.status(promoted) == "CANCELLED"
    assert len(shop.get("/cart").json["items"]) == 1


def test_an_order_that_cannot_be_cancelled_does_not_hold_up_the_others(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    stuck, sound = shop.confirmed(book), shop.confirmed(book)
    with database.transaction() as session:
        session.execute(text("UPDATE orders SET currency = 'EUR' WHERE id = :id"), {"id": stuck})
        full = "SELECT now() AT TIME ZONE 'UTC', 'EUR', 'unpaid', 1, 99999999999999.99"
        session.execute(text(f"INSERT INTO daily_cancellations (day, currency, reason, orders, amount) {full}"))
    overdue(database)
    expire_orders(database, config)
    assert (shop.status(stuck), shop.status(sound)) == ("CONFIRMED", "CANCELLED")


def attempt(database: Database, order_id: str) -> UUID:
    """A payment whose process died before it heard the provider's answer."""
    with database.transaction() as session:
        order = status.lock(session, UUID(order_id))
        payment = Payment(order_id=order.id, provider="simulator", method="tok_visa", amount=order.total)
        payment.refunded, payment.currency, payment.status = Decimal("0.00"), "USD", PaymentStatus.PROCESSING
        session.add(payment)
        session.flush()
        session.execute(text("UPDATE payments SET created_at = now() - interval '1 hour'"))
        return payment.id


def test_a_payment_left_open_by_a_crash_is_finished_and_charged_once(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    order_id = shop.confirmed(book)
    payment_id = attempt(database, order_id)
    charged = open_provider(config, database).charge(str(payment_id), Decimal("12.99"), "USD", "tok_visa")
    assert shop.pay(order_id).json["code"] == "payment_in_progress"
    overdue(database)
    expire_orders(database, config)
    finish_payments(database, config)
    order = shop.get(f"/orders/{order_id}").json
    assert (order["status"], order["payment"]["reference"]) == ("PAID", charged.reference)


def test_money_that_comes_after_the_cancellation_goes_back(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    order_id = shop.confirmed(book)
    payment_id = attempt(database, order_id)
    open_provider(config, database).charge(str(payment_id), Decimal("12.99"), "USD", "tok_visa")
    assert shop.post(f"/orders/{order_id}/cancel").json["status"] == "CANCELLED"
    finish_payments(database, config)
    with database.transaction() as session:
        session.execute(text("UPDATE refunds SET created_at = now() - interval '1 hour'"))
    finish_payments(database, config)
    order = shop.get(f"/orders/{order_id}").json
    assert (order["status"], order["payment"]["refunded"]) == ("CANCELLED", "12.99")
    with database.read() as session:
        (refund,) = session.query(Refund).all()
        assert (refund.status, refund.reason) == (RefundStatus.SUCCEEDED, "paid_too_late")


def test_an_order_does_not_ship_while_its_money_goes_back(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.paid(book)
    with database.transaction() as session:
        order = status.lock(session, UUID(order_id))
        payments.refund(session, order, None, restock=True, actor="test", reason=None)
    assert shop.move(order_id, "SHIPPED").json["code"] == "refund_pending"


def test_old_keys_are_forgotten(shop: Shop, database: Database, book: UUID) -> None:
    first = shop.place(book, Idempotency_Key="old").json["id"]
    with database.transaction() as session:
        session.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '2 days'"))
        idempotency.prune(session)
    assert shop.place(book, Idempotency_Key="old").json["id"] != first
