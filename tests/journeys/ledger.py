"""What must be true of stock and orders whatever has happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

IDENTITY = """
SELECT b.id, b.on_hand, b.reserved, coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'received'), 0)
     + coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'returned'), 0)
     + coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'corrected'), 0) AS came,
       coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'sold'), 0) AS sold
FROM catalog.books b LEFT JOIN catalog.stock_movements m ON m.book_id = b.id
GROUP BY b.id
"""
OPEN = """
SELECT (SELECT count(*) FROM {schema}.outbox WHERE sent_at IS NULL)
     + (SELECT count(*) FROM {schema}.inbox WHERE handled_at IS NULL AND dead_at IS NULL
        AND (attempts = 0 OR error IS NOT NULL))
"""
SCHEMAS = ("auth", "catalog", "orders", "reviews")


def is_quiet(query: Callable[..., list[Any]]) -> bool:
    """Nothing is on its way between the services any more. Read twice: an event may be on the bus itself.

    An erasure that has been applied, and will be once more, is at rest.
    """
    return all(query(OPEN.format(schema=schema))[0][0] == 0 for schema in SCHEMAS)


def require_balance(query: Callable[..., list[Any]]) -> None:
    """The ledger agrees with the sums for every book."""
    for book, on_hand, reserved, came, sold in query(IDENTITY):
        assert came == on_hand + sold, f"book {book}: {came} came, {on_hand} are here, {sold} were sold"
        assert 0 <= reserved <= on_hand


def outcomes(query: Callable[..., list[Any]], book_id: str) -> dict[str, int]:
    """How many orders of this book are in each status."""
    statement = """
        SELECT o.status, count(*) FROM orders.orders o JOIN orders.order_items i ON i.order_id = o.id
        WHERE i.book_id = %s GROUP BY o.status"""
    return dict(query(statement, book_id))


def stock(query: Callable[..., list[Any]], book_id: str) -> tuple[int, int]:
    """On hand and reserved."""
    ((on_hand, reserved),) = query("SELECT on_hand, reserved FROM catalog.books WHERE id = %s", book_id)
    return on_hand, reserved
