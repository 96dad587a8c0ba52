"""The ledger under deliveries, corrections and buyers at once, in any order: its identity holds at every step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from catalog_service.domain import books, stock
from catalog_service.events import HANDLERS
from catalog_service.models import Book
from common.errors import Conflict
from tests.catalog.test_stock_events import cancelled, paid, placed, refunded
from tests.support.database import deliver, empty

QUANTITY = st.integers(1, 4)
WHICH = st.integers(0, 1)


class Shop(RuleBasedStateMachine):
    """Two books, any number of orders of both, and what happens to orders in any order and again."""

    database = None
    orders = Bundle("orders")

    @initialize()
    def open_shop(self):
        with self.database.transaction() as session:
            fields = [{"title": title, "price": 1} for title in ("One", "Two")]
            self.books = [books.create(session, each, currency="USD") for each in fields]

    @rule(which=WHICH, delta=st.integers(-5, 8).filter(bool))
    def adjust(self, which, delta):
        try:
            with self.database.transaction() as session:
                stock.adjust(session, self.books[which], delta, actor="test", reason="x")
        except Conflict:
            pass  # below what is reserved: refused, and nothing entered

    @rule(target=orders, buyers=st.lists(st.tuples(QUANTITY, QUANTITY), min_size=1, max_size=4))
    def buy(self, buyers):
        """All at once, each from the two books in another order."""
        made = [(uuid4(), self._lines(wanted, turned=bool(turn % 2))) for turn, wanted in enumerate(buyers)]
        with ThreadPoolExecutor(len(made)) as pool:
            list(pool.map(lambda order: deliver(self.database, HANDLERS, placed(order[0], *order[1])), made))
        return made

    def _lines(self, wanted, *, turned):
        lines = list(zip(self.books, wanted, strict=True))
        return lines[::-1] if turned else lines

    @rule(orders=orders, event=st.sampled_from([placed, paid, cancelled, refunded]))
    def happen(self, orders, event):
        with ThreadPoolExecutor(len(orders)) as pool:
            list(pool.map(lambda order: deliver(self.database, HANDLERS, event(order[0], *order[1])), orders))

    @rule(orders=orders)
    def pay_and_cancel_at_once(self, orders):
        with ThreadPoolExecutor(2) as pool:
            for order, lines in orders:
                list(pool.map(lambda event: deliver(self.database, HANDLERS, event), self._both(order, lines)))

    @staticmethod
    def _both(order, lines):
        return [paid(order, *lines), cancelled(order, *lines)]

    @invariant()
    def the_books_agree(self):
        with self.database.read() as session:
            assert stock.disagreements(session) == []
            assert all(0 <= book.reserved <= book.on_hand for book in session.query(Book))

    def teardown(self):
        empty(self.database)


def test_the_ledger_adds_up_whatever_happens(database):
    shop = type("OpenShop", (Shop,), {"database": database})
    run_state_machine_as_test(
        shop,
        settings=settings(
            max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
