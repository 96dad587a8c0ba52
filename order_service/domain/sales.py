"""The daily sums of sales: one statement adds an order or, when all is counted again, every order."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# Of what a line costs, `share` is what is left without the discount and, where prices have it in them, the tax: of
# all the tax, a part is that of the shipping.
_PAID = """
    SELECT o.id, o.currency, o.total, (paid.at AT TIME ZONE 'UTC')::date AS day,
           (o.subtotal - o.discount) / NULLIF(o.subtotal, 0)
               * CASE WHEN o.tax_included AND o.total > 0 THEN 1 - o.tax / o.total ELSE 1 END AS share
    FROM orders o
    JOIN LATERAL (SELECT min(at) AS at FROM order_history h WHERE h.order_id = o.id AND h.status = 'PAID') paid
      ON paid.at IS NOT NULL
    WHERE o.id = CAST(:order_id AS uuid) OR CAST(:order_id AS uuid) IS NULL
"""
_SALES = f"""
INSERT INTO daily_sales AS d (day, currency, orders, units, revenue, refunded, costed, cost)
SELECT day, currency, count(*), sum(units), sum(total), 0, sum(costed), sum(cost)
FROM ({_PAID}) o
JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0) AS units, coalesce(sum(quantity * unit_cost), 0) AS cost,
           round(coalesce(sum(line_total) FILTER (WHERE unit_cost IS NOT NULL) * o.share, 0), 2) AS costed
    FROM order_items i WHERE i.order_id = o.id
) lines ON true
GROUP BY day, currency
ON CONFLICT (day, currency) DO UPDATE SET
    orders = d.orders + excluded.orders, units = d.units + excluded.units, revenue = d.revenue + excluded.revenue,
    costed = d.costed + excluded.costed, cost = d.cost + excluded.cost
"""  # noqa: S608 - of constants
_BOOKS, _MONTHS = (
    f"""
INSERT INTO {table} AS d ({period}, currency, book_id, quantity, revenue)
SELECT {start}, currency, book_id, sum(quantity), sum(line_total)
FROM ({_PAID}) o JOIN order_items i ON i.order_id = o.id
GROUP BY 1, currency, book_id
ORDER BY book_id
ON CONFLICT ({period}, currency, book_id) DO UPDATE SET
    quantity = d.quantity + excluded.quantity, revenue = d.revenue + excluded.revenue
"""  # noqa: S608
    for table, period, start in (
        ("daily_book_sales", "day", "day"),
        ("monthly_book_sales", "month", "date_trunc('month', day)::date"),
    )
)
_TABLES = ("daily_sales", "daily_book_sales", "monthly_book_sales", "daily_cancellations")
_REFUNDS = """
INSERT INTO daily_sales AS d (day, currency, orders, units, revenue, refunded, costed, cost)
SELECT (r.completed_at AT TIME ZONE 'UTC')::date, p.currency, 0, 0, 0, sum(r.amount), 0, 0
FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN orders o ON o.id = p.order_id
WHERE r.completed_at IS NOT NULL AND o.status <> 'CANCELLED'
  AND (r.id = CAST(:refund_id AS uuid) OR CAST(:refund_id AS uuid) IS NULL)
GROUP BY 1, 2
ON CONFLICT (day, currency) DO UPDATE SET refunded = d.refunded + excluded.refunded
"""
# What a customer or the staff write is theirs: only our own reasons are counted by name.
_CANCELLED = """
INSERT INTO daily_cancellations AS d (day, currency, reason, orders, amount)
SELECT (h.at AT TIME ZONE 'UTC')::date, o.currency,
       CASE WHEN h.actor IN ('catalog-service', 'order-service') THEN left(coalesce(h.reason, 'unknown'), 40)
            WHEN h.actor IN (o.user_id::text, 'erased') THEN 'cancelled_by_customer'
            ELSE 'cancelled_by_staff' END,
       count(*), sum(o.total)
FROM order_history h JOIN orders o ON o.id = h.order_id
WHERE h.status = 'CANCELLED' AND (o.id = CAST(:order_id AS uuid) OR CAST(:order_id AS uuid) IS NULL)
GROUP BY 1, 2, 3
ON CONFLICT (day, currency, reason) DO UPDATE SET
    orders = d.orders + excluded.orders, amount = d.amount + excluded.amount
"""


def sold(session: Session, order_id: UUID) -> None:
    """Count an order that has just been paid, once in its life."""
    for statement in (_SALES, _BOOKS, _MONTHS):
        session.execute(text(statement), {"order_id": str(order_id)})


def cancelled(session: Session, order_id: UUID) -> None:
    session.execute(text(_CANCELLED), {"order_id": str(order_id)})


def given_back(session: Session, refund_id: UUID) -> None:
    """Count a refund that has just been given; not one of money for an order that was never sold."""
    session.execute(text(_REFUNDS), {"refund_id": str(refund_id)})


def recount(session: Session) -> None:
    """Make all the sums anew. What is paid meanwhile waits; if for too long, the worker settles it afterwards."""
    session.execute(text("SET LOCAL statement_timeout = '15min'"))
    session.execute(text(f"LOCK TABLE {', '.join(_TABLES)} IN EXCLUSIVE MODE"))
    for table in _TABLES:
        session.execute(text(f"DELETE FROM {table}"))  # noqa: S608
    everything = {"order_id": None, "refund_id": None}
    for statement in (_SALES, _BOOKS, _MONTHS, _REFUNDS, _CANCELLED):
        session.execute(text(statement), everything)
