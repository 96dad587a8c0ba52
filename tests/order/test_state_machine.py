"""One order under every action and event, in any order and more than once, against a small model of what is allowed.

The order service answers HTTP, the catalog handles events; what each tells the other is delivered by the test, when
and as often as it likes, past the inbox that would know a duplicate.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from catalog_service.config import CatalogConfig
from catalog_service.domain import stock
from catalog_service.domain.reservations import NothingReserved
from catalog_service.events import HANDLERS as CATALOG
from catalog_service.models import Book
from common import outbox
from common.db import Database
from common.errors import Unavailable
from common.events import Event, by_name
from common.ids import new_id
from order_service.config import OrderConfig
from order_service.events import HANDLERS as ORDERS
from order_service.timers import expire_orders, finish_payments, redrive_orders
from tests.order.conftest import told
from tests.order.shop import Shop
from tests.support.database import deliver, empty, environment, install

EXAMPLES = int(os.environ.get("STATES_EXAMPLES", "0"))
"""0: a few lives of an order, always the same. Else so many, each time others: `make states`."""
STEPS = int(os.environ.get("STATES_STEPS", "20"))
QUICK = 12
PRICE, COPIES, QUANTITY = Decimal("10.00"), 3, 2
TOTAL = PRICE * QUANTITY
PAYABLE = {"CONFIRMED", "PAYMENT_FAILED"}
UNPAID = {"PENDING", *PAYABLE}
REFUNDABLE = {"PAID", "SHIPPED", "DELIVERED"}
BY_STAFF = {("PAID", "SHIPPED"), ("SHIPPED", "DELIVERED"), *((status, "CANCELLED") for status in UNPAID)}
CORRECTIONS = {
    ("PAID", "DELIVERED"),
    ("SHIPPED", "PAID"),
    ("DELIVERED", "SHIPPED"),
    ("DELIVERED", "PAID"),
}
STATUSES = ("PENDING", "CONFIRMED", "PAID", "SHIPPED", "DELIVERED", "PAYMENT_FAILED", "CANCELLED", "REFUNDED")


@dataclass
class Model:
    """What should be true of the order. Each action returns whether it is allowed, and then has happened."""

    status: str = "PENDING"
    attempt: str | None = None
    """The method of a charge whose answer was lost."""
    captured: Decimal = Decimal(0)
    promised: Decimal = Decimal(0)
    by_hand: bool = False
    is_refund_open: bool = False
    was_paid: bool = False
    restocks: bool = False

    @property
    def kept(self) -> Decimal:
        return self.captured - self.promised

    def decide(self, status: str) -> None:
        if self.status == "PENDING":
            self.status = status

    def can_pay(self) -> bool:
        return self.status in PAYABLE and self.attempt is None and not self.captured

    def settle(self, method: str) -> None:
        self.attempt = None
        if method != "tok_visa":
            self.status = "PAYMENT_FAILED" if self.status in PAYABLE else self.status
            return
        self.captured = TOTAL
        if self.status in PAYABLE:
            self.status, self.was_paid = "PAID", True
        else:
            self.promised, self.is_refund_open = TOTAL, True

    def refund(self, amount: Decimal, *, restock: bool, lost: bool) -> bool:
        if not self.captured or not 0 < amount <= self.kept:
            return False
        self.promised += amount
        self.restocks = self.restocks or restock
        self.is_refund_open = self.is_refund_open or lost
        if not lost:
            self.close_refunds(all_of_them=False)
        return True

    def close_refunds(self, *, all_of_them: bool = True) -> None:
        if all_of_them:
            self.is_refund_open = False
        if self.captured and not self.kept and not self.is_refund_open and self.status in REFUNDABLE:
            self.status = "REFUNDED"

    def cancel(self, *, lost: bool) -> bool:
        if self.status in UNPAID:
            self.status = "CANCELLED"
            return True
        if self.status != "PAID" or self.is_refund_open:
            return False
        return self.refund(self.kept, restock=True, lost=lost)

    def move(self, to: str, *, lost: bool) -> bool:
        if self.is_refund_open:
            return False
        if to == "REFUNDED" and self.status in REFUNDABLE:
            return self.refund(self.kept, restock=self.status == "PAID", lost=lost)
        if (self.status, to) not in BY_STAFF:
            return False
        self.status = to
        return True

    def force(self, to: str, *, lost: bool) -> bool:
        if self.move(to, lost=lost):
            return True
        if self.is_refund_open:
            return False
        if to == "CANCELLED" and self.status in REFUNDABLE:
            return self.refund(self.kept, restock=True, lost=lost)
        if to == "PAID" and self.can_pay():
            self.status, self.captured, self.by_hand, self.was_paid = "PAID", TOTAL, True, True
            return True
        if (self.status, to) in CORRECTIONS:
            self.status = to
            return True
        return False

    def expire(self) -> None:
        if self.status in UNPAID and self.attempt is None:
            self.status = "CANCELLED"


class Provider:
    """The application's own, whose answers can be lost on their way."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self.loses_answers = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._provider, name)
        if name not in ("charge", "refund"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            answer = found(*args, **kwargs)
            if self.loses_answers:
                raise Unavailable
            return answer

        return call


class Wire:
    """What a service has told of this order and its book; each may be delivered at any time, and again."""

    def __init__(self, database: Database, *keys: str) -> None:
        self._database = database
        self._keys = keys
        self.delivered: set[int] = set()

    def events(self) -> list[Event]:
        told = outbox.table.select().where(outbox.table.c.key.in_(self._keys)).order_by(outbox.table.c.position)
        with self._database.read() as session:
            rows = session.execute(told).all()
        return [event.model_validate_json(row.body) for row in rows if (event := by_name(row.name))]


class OneOrder(RuleBasedStateMachine):
    def __init__(self, shop: Shop, catalog: Database, config: OrderConfig) -> None:
        super().__init__()
        self.catalog, self.orders, self.config = catalog, shop.database, config
        self.shop = Shop(shop.client, shop.database)
        self.provider: Provider = shop.client.application.extensions["payment_provider"]
        self.book = self._add_book()
        self.order_id: str = self.shop.place(self.book, QUANTITY).json["id"]
        self.told_by_orders, self.told_by_catalog = (
            Wire(each, self.order_id, str(self.book)) for each in (self.orders, self.catalog)
        )
        self.model = Model()

    def _add_book(self) -> UUID:
        book_id = new_id()
        deliver(self.orders, ORDERS, told(book_id, price=PRICE, available=COPIES))
        with self.catalog.transaction() as session:
            session.add(Book(id=book_id, code=str(book_id), title="Emma", price=PRICE, currency="USD"))
            session.flush()
            stock.count(session, book_id, COPIES, actor="test", reason=None)
        return book_id

    def _to_catalog(self, index: int) -> None:
        event = self.told_by_orders.events()[index]
        if type(event) not in CATALOG:
            self.told_by_orders.delivered.add(index)
            return
        try:
            deliver(self.catalog, CATALOG, event)
        except NothingReserved:
            return  # the inbox tries again
        self.told_by_orders.delivered.add(index)

    def _to_orders(self, index: int) -> None:
        event = self.told_by_catalog.events()[index]
        self.told_by_catalog.delivered.add(index)
        if type(event) not in ORDERS:
            return
        deliver(self.orders, ORDERS, event)
        if event.name.startswith("catalog.stock_re"):
            self.model.decide("CONFIRMED" if event.name == "catalog.stock_reserved.v1" else "CANCELLED")

    @rule(data=st.data())
    def the_catalog_hears(self, data: st.DataObject) -> None:
        self._to_catalog(data.draw(st.integers(0, len(self.told_by_orders.events()) - 1)))

    @rule(data=st.data())
    def the_order_service_hears(self, data: st.DataObject) -> None:
        if events := self.told_by_catalog.events():
            self._to_orders(data.draw(st.integers(0, len(events) - 1)))

    @rule()
    def everything_arrives(self) -> None:
        """In order, what has not been delivered yet."""
        moved = True
        while moved:
            waiting = [i for i in range(len(self.told_by_orders.events())) if i not in self.told_by_orders.delivered]
            answers = [i for i in range(len(self.told_by_catalog.events())) if i not in self.told_by_catalog.delivered]
            for index in waiting:
                self._to_catalog(index)
            for index in answers:
                self._to_orders(index)
            moved = bool(answers) or any(index in self.told_by_orders.delivered for index in waiting)

    @rule(method=st.sampled_from(["tok_visa", "tok_visa", "tok_chargeDeclined"]), lost=st.booleans())
    def pay(self, method: str, lost: bool) -> None:
        self.provider.loses_answers = lost
        answer = self.shop.pay(self.order_id, method)
        if not self.model.can_pay():
            assert answer.status_code == 409, answer.json
        elif lost:
            assert answer.status_code == 503, answer.json
            self.model.attempt = method
        else:
            self.model.settle(method)
            assert answer.status_code == (200 if method == "tok_visa" else 402), answer.json

    @rule(lost=st.booleans())
    def cancel(self, lost: bool) -> None:
        self.provider.loses_answers = lost
        self._expect(self.shop.post(f"/orders/{self.order_id}/cancel"), self.model.cancel(lost=lost))

    @rule(cents=st.sampled_from([100, 1999, 2000, 2001]), lost=st.booleans())
    def give_some_back(self, cents: int, lost: bool) -> None:
        self.provider.loses_answers = lost
        body = {"amount": str(Decimal(cents) / 100)}
        answer = self.shop.post(f"/admin/orders/{self.order_id}/refund", body, staff=True)
        self._expect(
            answer, self.model.refund(Decimal(cents) / 100, restock=False, lost=lost and not self.model.by_hand)
        )

    @rule(to=st.sampled_from(STATUSES), by_force=st.booleans(), lost=st.booleans())
    def the_staff_move_it(self, to: str, by_force: bool, lost: bool) -> None:
        self.provider.loses_answers = lost
        body = {"status": to, **({"force": True, "reason": "test"} if by_force else {})}
        answer = self.shop.send("PATCH", f"/admin/orders/{self.order_id}/status", body, staff=True)
        lost = lost and not self.model.by_hand
        self._expect(answer, (self.model.force if by_force else self.model.move)(to, lost=lost))

    @staticmethod
    def _expect(answer: Any, allowed: bool) -> None:
        assert (answer.status_code == 200) == allowed, answer.json
        assert allowed or answer.status_code == 409, answer.json

    @rule()
    def nobody_waits_any_longer(self) -> None:
        self._age(
            "UPDATE orders SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL AND id = :id"
        )
        expire_orders(self.orders, self.config)
        self.model.expire()

    @precondition(lambda self: self.model.status == "PENDING")
    @rule()
    def the_catalog_is_asked_again(self) -> None:
        self._age("UPDATE orders SET placed_at = now() - interval '1 hour', redriven_at = NULL WHERE id = :id")
        redrive_orders(self.orders, self.config)

    @rule()
    def what_was_left_open_is_finished(self) -> None:
        attempts = "SELECT id FROM payments WHERE order_id = :id"
        for table, own in (("payments", "order_id = :id"), ("refunds", f"payment_id IN ({attempts})")):
            self._age(f"UPDATE {table} SET created_at = now() - interval '1 hour' WHERE {own}")
        finish_payments(self.orders, self.config)
        if self.model.attempt:
            self.model.settle(self.model.attempt)
        else:
            self.model.close_refunds()

    def _age(self, statement: str) -> None:
        with self.orders.transaction() as session:
            session.execute(text(statement), {"id": self.order_id})

    @invariant()
    def the_order_is_as_the_model_says(self) -> None:
        assert self.shop.status(self.order_id) == self.model.status

    @invariant()
    def the_stock_is_possible(self) -> None:
        with self.catalog.read() as session:
            assert stock.disagreements(session) == []

    @invariant()
    def never_more_money_than_it_costs(self) -> None:
        charged, refunded = self._money()
        assert 0 <= refunded <= charged <= TOTAL

    def _money(self) -> tuple[Decimal, Decimal]:
        """What the provider took and gave back."""
        statement = text(
            "SELECT coalesce(sum(c.amount), 0), coalesce(sum(c.refunded), 0) FROM simulated_charges c"
            " JOIN payments p ON p.id::text = c.key WHERE c.reference IS NOT NULL AND p.order_id = :id"
        )
        with self.orders.read() as session:
            charged, refunded = session.execute(statement, {"id": self.order_id}).one()
        return charged, refunded

    def teardown(self) -> None:
        """All comes to rest: then stock and money are what the order says."""
        self.provider.loses_answers = False
        for _ in range(2):
            self.what_was_left_open_is_finished()
        self.everything_arrives()
        self.the_order_is_as_the_model_says()
        charged, refunded = self._money()
        assert charged - refunded == (Decimal(0) if self.model.by_hand else self.model.kept)
        assert bool(self.model.kept) == (self.model.status in REFUNDABLE)
        is_gone = self.model.was_paid and not (self.model.status == "REFUNDED" and self.model.restocks)
        held = QUANTITY if self.model.status in PAYABLE else 0
        with self.catalog.read() as session:
            figures = stock.figures(session, self.book)
        assert (figures["on_hand"], figures["reserved"]) == (COPIES - QUANTITY * is_gone, held)


@pytest.fixture
def catalog(admin_database_url: str) -> Iterator[Database]:
    config = CatalogConfig.from_env(environment(admin_database_url, CatalogConfig.schema))
    install(config, admin_database_url)
    database = Database(config)
    yield database
    empty(database)
    database.close()


def test_one_order_under_everything_that_can_happen(shop: Shop, catalog: Database, config: OrderConfig) -> None:
    application = shop.client.application
    application.extensions["payment_provider"] = Provider(application.extensions["payment_provider"])
    run_state_machine_as_test(
        lambda: OneOrder(shop, catalog, config),
        settings=settings(
            max_examples=EXAMPLES or QUICK,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not EXAMPLES,
            suppress_health_check=list(HealthCheck),
        ),
    )
