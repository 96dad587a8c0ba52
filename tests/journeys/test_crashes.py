"""Processes that die at the worst moment: an order is decided once, and nothing is lost, doubled or oversold."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import requests

from common.failpoints import EXIT_STATUS
from devstack.tcp_proxy import TcpProxy
from tests.journeys.ledger import is_quiet, outcomes, require_balance, stock
from tests.support.shopper import Person, Staff
from tests.support.stack import Stack
from tests.support.waiting import eventually

Query = Callable[..., list[Any]]

WORKER_SITES = [
    ("catalog-worker", "pump.before_stage"),
    ("catalog-worker", "pump.after_stage"),
    ("catalog-worker", "pump.after_ack"),
    ("catalog-worker", "handler.before_effect"),
    ("catalog-worker", "handler.before_commit"),
    ("catalog-worker", "handler.after_commit"),
    ("catalog-worker", "relay.before_publish"),
    ("catalog-worker", "relay.before_confirm"),
    ("catalog-worker", "relay.after_confirm"),
    ("catalog-worker", "relay.after_mark"),
    ("order-worker", "relay.before_confirm"),
    ("order-worker", "relay.after_confirm"),
    ("order-worker", "pump.after_stage"),
    ("order-worker", "handler.before_commit"),
]
ORDERS = 200


def place(buyer: Person, book: str, key: str) -> str:
    """Order as a client that does not give up: again, under the same key, until there is an answer. Its id."""

    def attempt() -> str | None:
        try:
            answer = buyer.order(book, key=key, wait=0)
        except requests.RequestException:
            return None
        if answer.status_code == 201:
            return str(answer.json()["id"])
        assert answer.status_code in (409, 502, 503, 504), answer.text
        return None

    return eventually(attempt, within=60, every=0.1)  # type: ignore[return-value]


@pytest.mark.parametrize(("process", "site"), WORKER_SITES)
def test_a_worker_that_crashes_at_this_line_handles_the_order_once(
    store: Stack, admin: Staff, buyer: Person, query: Query, process: str, site: str
) -> None:
    book = admin.add_book(f"Crash at {site}", on_hand=2)
    eventually(lambda: is_quiet(query))
    store.restart(process, FAIL_POINT=site)
    order_id = place(buyer, book, "once")
    assert store.exit_status(process) == EXIT_STATUS
    store.start(process)
    eventually(lambda: outcomes(query, book) == {"CONFIRMED": 1}, within=20)
    assert stock(query, book) == (2, 1)
    history = buyer.get(f"/orders/{order_id}")["history"]
    assert [entry["status"] for entry in history] == ["PENDING", "CONFIRMED"]


@pytest.mark.parametrize("site", ["request.before_commit", "request.after_commit", "payment.after_charge"])
def test_a_request_whose_process_crashes_can_be_sent_again(
    store: Stack, admin: Staff, buyer: Person, query: Query, site: str
) -> None:
    book = admin.add_book(f"Crash in {site}", on_hand=1)
    order_id = place(buyer, book, "first") if site.startswith("payment") else None
    if order_id:
        eventually(lambda: outcomes(query, book) == {"CONFIRMED": 1})
    store.restart("order-web", FAIL_POINT=site)
    sent = buyer.send("POST", f"/orders/{order_id}/pay", {"payment_method": "tok_visa"}) if order_id else None
    crashed = sent if sent is not None else buyer.order(book, key="again", wait=0)
    assert crashed.status_code in (502, 503)
    store.restart("order-web")
    if order_id:
        query("UPDATE orders.payments SET created_at = created_at - interval '1 hour' RETURNING 1")
        eventually(lambda: outcomes(query, book) == {"PAID": 1}, within=30)
        assert query("SELECT count(*) FROM orders.payments WHERE order_id = %s", order_id) == [(1,)]
        return
    query("UPDATE orders.idempotency_keys SET running_until = now() RETURNING 1")
    place(buyer, book, "again")
    eventually(lambda: outcomes(query, book) == {"CONFIRMED": 1}, within=20)
    assert stock(query, book) == (1, 1)


@pytest.mark.parametrize("site", ["payment.after_charge", "payment.after_refund"])
def test_money_moves_once_though_all_who_move_it_crash_behind_the_provider(
    store: Stack, admin: Staff, buyer: Person, query: Query, site: str
) -> None:
    """The request dies when the provider has done it, and so does the worker that takes it up."""
    book = admin.add_book(f"Moved at {site}", on_hand=1)
    order_id = place(buyer, book, "first")
    eventually(lambda: outcomes(query, book) == {"CONFIRMED": 1}, within=20)
    path, body, end = "pay", {"payment_method": "tok_visa"}, "PAID"
    if site == "payment.after_refund":
        assert buyer.send("POST", f"/orders/{order_id}/pay", body).status_code == 200
        path, body, end = "cancel", None, "REFUNDED"
    for process in ("order-web", "order-worker"):
        store.restart(process, FAIL_POINT=site)
    assert buyer.send("POST", f"/orders/{order_id}/{path}", body).status_code in (502, 503)
    make_due(query)
    assert store.exit_status("order-worker") == EXIT_STATUS
    store.restart("order-web")
    store.start("order-worker")
    make_due(query)
    eventually(lambda: outcomes(query, book) == {end: 1}, within=30)
    assert moved(query, order_id) == (1, 10, 1 if end == "REFUNDED" else 0, 10 if end == "REFUNDED" else 0)


def make_due(query: Query) -> None:
    """Time passes for what the provider has not been asked about lately."""
    for table in ("payments", "refunds"):
        query(
            f"UPDATE orders.{table} SET created_at = created_at - interval '1 hour',"
            " asked_at = asked_at - interval '1 hour' RETURNING 1"
        )


def moved(query: Query, order_id: str) -> tuple[Any, ...]:
    """What the provider has charged and given back for an order: how often, and how much."""
    statement = """
        SELECT count(DISTINCT c.key), max(c.amount), count(r.key), coalesce(sum(r.amount), 0)
        FROM orders.payments p JOIN orders.simulated_charges c ON c.key = p.id::text
        LEFT JOIN orders.simulated_refunds r ON r.charge = c.key WHERE p.order_id = %s"""
    (found,) = query(statement, order_id)
    return tuple(found)


def test_killing_any_process_at_any_moment_loses_doubles_and_oversells_nothing(
    store: Stack, admin: Staff, query: Query
) -> None:
    copies = ORDERS * 3 // 4
    book = admin.add_book("Fought over", on_hand=copies)
    with storm_of_orders(store, book) as placed:
        victims = ["order-worker", "catalog-worker", "order-web", "catalog-web", "order-worker", "catalog-worker"]
        random.Random(7).shuffle(victims)
        for victim in victims:
            store.kill(victim, signal.SIGKILL)
            store.start(victim)
    assert len(set(placed)) == ORDERS
    expected = {"CONFIRMED": copies, "CANCELLED": ORDERS - copies}
    eventually(lambda: outcomes(query, book) == expected, within=60)
    assert stock(query, book) == (copies, copies)
    require_balance(query)
    require_one_decision_each(query, book)


class storm_of_orders:
    """Several buyers place orders, again and again until each is answered, while the block runs."""

    def __init__(self, store: Stack, book: str, orders: int = ORDERS, buyers: int = 6) -> None:
        self._book = book
        self._orders = orders
        self._people = [Person.register(store.gateway) for _ in range(buyers)]
        self._numbers = count()
        self._lock = threading.Lock()
        self._placed: list[str] = []

    def __enter__(self) -> list[str]:
        self._pool = ThreadPoolExecutor(len(self._people))
        self._running = [self._pool.submit(self._buy, person) for person in self._people]
        return self._placed

    def _buy(self, person: Person) -> None:
        while True:
            with self._lock:
                number = next(self._numbers)
            if number >= self._orders:
                return
            self._placed.append(place(person, self._book, f"storm-{number}"))

    def __exit__(self, *_: object) -> None:
        for running in self._running:
            running.result(timeout=180)
        self._pool.shutdown()


def require_one_decision_each(query: Query, book: str) -> None:
    statement = """
        SELECT count(*) FROM orders.order_history h JOIN orders.order_items i ON i.order_id = h.order_id
        WHERE i.book_id = %s AND h.status IN ('CONFIRMED', 'CANCELLED') GROUP BY h.order_id HAVING count(*) <> 1"""
    assert query(statement, book) == []


@pytest.mark.parametrize("bus", [pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)], indirect=True, scope="session")
def test_a_broker_that_is_away_for_half_a_minute_only_delays(
    store: Stack, broker: TcpProxy, admin: Staff, query: Query
) -> None:
    book = admin.add_book("Patience", on_hand=30)
    with storm_of_orders(store, book, orders=40) as placed:
        broker.cut()
        away_until = time.monotonic() + 30
        eventually(lambda: len(placed) == 40 and time.monotonic() > away_until, within=90)
        assert outcomes(query, book).get("PENDING")
        broker.restore()
    eventually(lambda: outcomes(query, book) == {"CONFIRMED": 30, "CANCELLED": 10}, within=60)
    require_balance(query)
    require_one_decision_each(query, book)
