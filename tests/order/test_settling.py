"""Payments, refunds and decisions whose answer is late, lost, or overtaken by something else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import select, text

from common.db import Database, utcnow
from common.errors import Unavailable
from common.events.orders import OrderRefunded
from common.ids import new_id
from order_service import decisions
from order_service.config import OrderConfig
from order_service.decisions import DecisionWaiter
from order_service.domain import books
from order_service.events import HANDLERS
from order_service.models import Book, Payment, PaymentStatus
from order_service.payments import processing
from order_service.payments.provider import Charge, Return
from order_service.payments.simulator import Simulator
from order_service.timers import finish_payments
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver, emitted

PRICE = Decimal("12.99")


class Provider(Simulator):
    """A simulator that can be away, and at which something may happen right before and after a charge."""

    def __init__(self, database: Database, *, away: bool = False) -> None:
        super().__init__(database)
        self.away = away
        self.before: Callable[[], object] = lambda: None
        self.afterwards: Callable[[], object] = lambda: None

    def charge(self, key: str, amount: Decimal, currency: str, method: str) -> Charge:
        if self.away:
            raise Unavailable
        self.before()
        charged = super().charge(key, amount, currency, method)
        self.afterwards()
        return charged

    def refund(self, key: str, reference: str, amount: Decimal, currency: str) -> Return:
        if self.away:
            raise Unavailable
        return super().refund(key, reference, amount, currency)


@pytest.fixture
def provider(shop: Shop, database: Database) -> Provider:
    made = Provider(database)
    shop.client.application.extensions["payment_provider"] = made
    return made


def change(database: Database, statement: str, **values: object) -> None:
    with database.transaction() as session:
        session.execute(text(statement), values)


def finish(database: Database, config: OrderConfig) -> None:
    """What the worker's timer does about whatever has been open for an hour."""
    for table in ("payments", "refunds"):
        change(database, f"UPDATE {table} SET created_at = created_at - interval '1 hour', asked_at = NULL")
    finish_payments(database, config)


def refunds_told(database: Database) -> list[bool]:
    """Whether each order refunded so far was said to come back to stock."""
    return [event.restock for event in emitted(database) if isinstance(event, OrderRefunded)]


def test_a_payment_that_nobody_knows_of_yet_is_no_answer_to_keep(
    shop: Shop, database: Database, config: OrderConfig, provider: Provider, book: UUID
) -> None:
    order_id = shop.confirmed(book)
    provider.away = True
    assert shop.pay(order_id, "tok_chargeDeclined", Idempotency_Key="k").status_code == 503
    change(database, "UPDATE idempotency_keys SET running_until = now() - interval '1 second'")
    waiting = shop.pay(order_id, "tok_chargeDeclined", Idempotency_Key="k")
    assert (waiting.status_code, waiting.json["code"]) == (409, "idempotency_in_progress")
    finish(database, config)
    assert shop.pay(order_id, "tok_chargeDeclined", Idempotency_Key="k").status_code == 402


def test_a_kept_answer_is_repeated_while_a_later_attempt_is_open(shop: Shop, provider: Provider, book: UUID) -> None:
    order_id = shop.confirmed(book)
    declined = shop.pay(order_id, "tok_chargeDeclined", Idempotency_Key="first")
    provider.away = True
    assert shop.pay(order_id).status_code == 503
    again = shop.pay(order_id, "tok_chargeDeclined", Idempotency_Key="first")
    assert (again.status_code, again.json) == (402, declined.json)


def test_a_payment_decided_later_keeps_its_first_answer(
    shop: Shop, database: Database, config: OrderConfig, book: UUID
) -> None:
    order_id = shop.confirmed(book)
    first = shop.pay(order_id, "tok_pendingDeclined", Idempotency_Key="first")
    assert first.status_code == 202
    change(database, "UPDATE simulated_charges SET settles_at = now()")
    finish(database, config)
    assert shop.status(order_id) == "PAYMENT_FAILED"
    assert shop.pay(order_id, Idempotency_Key="second").json["status"] == "PAID"
    again = shop.pay(order_id, "tok_pendingDeclined", Idempotency_Key="first")
    assert (again.status_code, again.json) == (202, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_key_without_an_answer_speaks_of_its_own_attempt(
    shop: Shop, database: Database, config: OrderConfig, provider: Provider, book: UUID
) -> None:
    order_id = shop.confirmed(book)
    provider.away = True
    assert shop.pay(order_id, "tok_chargeDeclined", Idempotency_Key="first").status_code == 503
    finish(database, config)
    provider.away = False
    assert shop.pay(order_id, Idempotency_Key="second").json["status"] == "PAID"
    change(database, "UPDATE idempotency_keys SET running_until = now() - interval '1 second'")
    again = shop.pay(order_id, "tok_chargeDeclined", Idempotency_Key="first")
    assert (again.status_code, again.json["code"]) == (402, "payment_declined")


def test_a_payment_overtaken_by_a_cancellation_is_a_conflict(shop: Shop, provider: Provider, book: UUID) -> None:
    order_id = shop.confirmed(book)
    provider.afterwards = lambda: shop.post(f"/orders/{order_id}/cancel")
    answer = shop.pay(order_id)
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")
    order = shop.get(f"/orders/{order_id}").json
    assert (order["status"], order["payment"]["refunded"]) == ("CANCELLED", str(PRICE))


def test_the_attempt_that_brought_the_money_is_shown_whatever_clock_made_its_id(
    shop: Shop, database: Database, book: UUID
) -> None:
    order_id = shop.confirmed(book)
    shop.pay(order_id, "tok_chargeDeclined")
    change(database, "UPDATE payments SET id = 'ffffffff-ffff-7fff-bfff-ffffffffffff'")
    assert shop.pay(order_id).json["payment"]["status"] == "SUCCEEDED"


def test_what_is_charged_for_an_attempt_that_was_given_up_meanwhile_goes_back(
    shop: Shop, database: Database, config: OrderConfig, provider: Provider, book: UUID
) -> None:
    order_id = shop.confirmed(book)

    def give_it_up() -> None:
        provider.before = lambda: None
        shop.post(f"/orders/{order_id}/cancel")
        finish(database, config)

    provider.before = give_it_up
    assert shop.pay(order_id).status_code == 402
    order = shop.get(f"/orders/{order_id}").json
    assert (order["status"], order["payment"]["failure"]) == ("CANCELLED", "abandoned")
    (entry,) = provider.entries(utcnow() - timedelta(hours=1))
    assert (entry.captured, entry.kept) == (PRICE, Decimal(0))


def test_an_attempt_that_cannot_be_finished_does_not_hold_up_the_others(
    shop: Shop, database: Database, config: OrderConfig, provider: Provider, book: UUID
) -> None:
    broken, sound = shop.confirmed(book), shop.confirmed(book)
    provider.away = True
    for order_id in (broken, sound):
        assert shop.pay(order_id).status_code == 503
    change(database, "UPDATE payments SET method = 'tok_withdrawn' WHERE order_id = :id", id=broken)
    finish(database, config)
    assert (shop.status(broken), shop.status(sound)) == ("CONFIRMED", "PAID")


def test_books_come_back_whichever_refund_ends_last(
    shop: Shop, database: Database, config: OrderConfig, provider: Provider, book: UUID
) -> None:
    order_id = shop.paid(book)
    path = f"/admin/orders/{order_id}/refund"
    provider.away = True
    assert shop.post(path, {"amount": "5.00"}, staff=True).status_code == 200
    provider.away = False
    assert shop.post(path, {"restock": True}, staff=True).json["status"] == "PAID"
    finish(database, config)
    assert (shop.status(order_id), refunds_told(database)) == ("REFUNDED", [True])


def test_books_do_not_come_back_for_a_part_of_the_money(shop: Shop, book: UUID) -> None:
    path = f"/admin/orders/{shop.paid(book)}/refund"
    answer = shop.post(path, {"amount": "5.00", "restock": True}, staff=True)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "restock")
    assert shop.post(path, {"amount": str(PRICE), "restock": True}, staff=True).json["status"] == "REFUNDED"


def test_staff_cannot_cancel_what_is_paid_only_refund_it(shop: Shop, database: Database, book: UUID) -> None:
    order_id = shop.paid(book)
    answer = shop.move(order_id, "CANCELLED")
    assert (answer.status_code, answer.json["code"]) == (409, "illegal_transition")
    assert shop.move(order_id, "REFUNDED").json["status"] == "REFUNDED"
    assert refunds_told(database) == [True]


def test_an_order_that_cost_nothing_can_be_called_off_once(shop: Shop, database: Database) -> None:
    book = new_id()
    deliver(database, HANDLERS, told(book, price=Decimal("0.00")))
    order_id = shop.paid(book)
    assert shop.post(f"/orders/{order_id}/cancel").json["status"] == "REFUNDED"
    assert shop.post(f"/orders/{order_id}/cancel").status_code == 409
    assert shop.post(f"/admin/orders/{order_id}/refund", staff=True).status_code == 409
    assert refunds_told(database) == [True]


def test_the_same_version_of_a_book_repairs_its_row(database: Database, book: UUID) -> None:
    change(database, "UPDATE books SET title = 'damaged', available = 0")
    with database.transaction() as session:
        books.take_over(session, [told(book)])
        assert (session.get_one(Book, book).title, session.get_one(Book, book).available) == ("Middlemarch", 10)


def test_in_doubt_only_one_waits_until_a_decision_comes_again(
    shop: Shop, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "SULK_SECONDS", 0.0)
    waiter = DecisionWaiter(database)

    def waits(seconds: float = 1) -> bool:
        looks: list[bool] = []
        with waiter.expecting(new_id(), seconds) as wait:
            wait(lambda: looks.append(True) or True)  # type: ignore[func-returns-value]
        return bool(looks)

    try:
        with waiter.expecting(new_id(), 0.01) as wait:
            wait(lambda: False)
        with waiter.expecting(new_id(), 1) as probe:
            assert not waits()
            probe(lambda: True)
        with waiter.expecting(new_id(), 1):
            assert waits()
    finally:
        waiter.close()


def test_an_outcome_heard_twice_counts_once(shop: Shop, database: Database, provider: Provider, book: UUID) -> None:
    order_id = shop.paid(book)
    with database.read() as session:
        payment_id = session.scalars(select(Payment.id).where(Payment.order_id == UUID(order_id))).one()
    assert processing.charge(database, provider, payment_id).status == PaymentStatus.SUCCEEDED
    assert shop.status(order_id) == "PAID"
