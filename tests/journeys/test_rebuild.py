"""Every replica made anew while people buy and review: all is as it was, and what came meanwhile is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.journeys.ledger import is_quiet, require_balance
from tests.support.shopper import Person, Staff
from tests.support.stack import Stack
from tests.support.waiting import eventually

Query = Callable[..., list[Any]]

REPLICAS = {
    ("order", "books"): "SELECT code, title, price, is_active, available FROM orders.books WHERE book_id = %s",
    ("review", "purchases"): "SELECT user_id, order_id, withdrawn_at FROM reviews.purchases WHERE book_id = %s",
    ("review", "names"): "SELECT name FROM reviews.reviewers JOIN reviews.reviews USING (user_id) WHERE book_id = %s",
    ("catalog", "ratings"): "SELECT rating_count, rating_average, rating_version FROM catalog.books WHERE id = %s",
    ("catalog", "bestsellers"): "SELECT units_sold FROM catalog.books WHERE id = %s",
}
"""What is rebuilt, and how it is read for one book."""
SPOILED = (
    "DELETE FROM orders.books WHERE book_id = %s RETURNING 1",
    "UPDATE reviews.purchases SET withdrawn_at = checked_at, checked_at = checked_at - interval '1 hour'"
    " WHERE book_id = %s AND withdrawn_at IS NULL RETURNING 1",
    "UPDATE reviews.reviewers SET name = 'spoiled'"
    " WHERE user_id IN (SELECT user_id FROM reviews.reviews WHERE book_id = %s) RETURNING 1",
    "UPDATE catalog.books SET rating_count = rating_count + 1 WHERE id = %s RETURNING 1",
    "UPDATE catalog.books SET units_sold = units_sold + 5 WHERE id = %s RETURNING 1",
)
NOBODY = "00000000-0000-0000-0000-000000000000"
"""Whose the orders of erased people are."""
AGREEMENTS = (
    (
        "SELECT book_id, available FROM orders.books",
        "SELECT id, on_hand - reserved FROM catalog.books",
    ),
    (
        "SELECT user_id, book_id, order_id FROM reviews.purchases WHERE withdrawn_at IS NULL",
        "SELECT o.user_id, i.book_id, o.id FROM orders.orders o JOIN orders.order_items i ON i.order_id = o.id"
        f" WHERE o.status IN ('PAID', 'SHIPPED', 'DELIVERED') AND o.user_id <> '{NOBODY}'",
    ),
    (
        "SELECT book_id, version, review_count FROM reviews.book_ratings",
        "SELECT id, rating_version, rating_count FROM catalog.books WHERE rating_version > 0",
    ),
    (
        "SELECT i.book_id, sum(i.quantity) FROM orders.order_items i WHERE EXISTS (SELECT FROM orders.order_history h"
        " WHERE h.order_id = i.order_id AND h.status = 'PAID') GROUP BY 1",
        "SELECT id, units_sold FROM catalog.books WHERE units_sold > 0",
    ),
)
"""Each replica and its source, over the whole store."""


def buy(buyer: Person, book: str) -> None:
    order = buyer.order(book).json()
    buyer.send("POST", f"/orders/{order['id']}/pay", {"payment_method": "tok_visa"}).raise_for_status()


@contextmanager
def in_use(buyer: Person, book: str) -> Iterator[None]:
    """Somebody buys, and changes their review, all the while."""
    over = threading.Event()
    failed: list[BaseException] = []

    def use() -> None:
        try:
            mine = buyer.send("POST", "/reviews", {"book_id": book, "rating": 1}).json()
            stars = 1
            while not over.is_set():
                buy(buyer, book)
                stars = stars % 5 + 1
                buyer.send("PATCH", f"/reviews/{mine['id']}", {"rating": stars}).raise_for_status()
        except BaseException as error:
            failed.append(error)

    user = threading.Thread(target=use)
    user.start()
    yield
    over.set()
    user.join(30)
    assert not failed, failed


def test_replicas_are_rebuilt_while_the_store_is_used(store: Stack, admin: Staff, buyer: Person, query: Query) -> None:
    still, busy = (admin.add_book(title, on_hand=500) for title in ("Stillness", "Business"))
    buy(buyer, still)
    buy(buyer, busy)
    buyer.send("POST", "/reviews", {"book_id": still, "rating": 4}).raise_for_status()
    eventually(lambda: is_known(query, still) and is_quiet(query), within=20)
    before = state(query, still)
    for statement in SPOILED:
        assert query(statement, still)
    assert state(query, still) != before
    with in_use(buyer, busy):
        for service, replica in REPLICAS:
            done = store.command(service, "rebuild", replica)
            assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: is_quiet(query), within=20)
    assert state(query, still) == before
    require_balance(query)
    eventually(lambda: disagreements(query) == [], within=20)


def is_known(query: Query, book: str) -> bool:
    """The sale and the review have reached everybody."""
    (((sold, rated),), purchases) = (
        query("SELECT units_sold, rating_count FROM catalog.books WHERE id = %s", book),
        query("SELECT 1 FROM reviews.purchases WHERE book_id = %s", book),
    )
    return bool(sold and rated and purchases)


def state(query: Query, book: str) -> dict[tuple[str, str], list[Any]]:
    return {replica: query(statement, book) for replica, statement in REPLICAS.items()}


def disagreements(query: Query) -> list[tuple[str, set[Any]]]:
    """What only one side has. Other tests' orders may still be under way."""
    differences = ((replica, set(query(replica)) ^ set(query(source))) for replica, source in AGREEMENTS)
    return [(replica, rows) for replica, rows in differences if rows]
