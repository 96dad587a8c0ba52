"""Who has bought what: for services that need to know a buyer from a visitor."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, exists, select

from order_service.models import HistoryEntry, Order, OrderItem, Status

NOBODY = UUID(int=0)
"""Whose the orders of erased people are."""

BOUGHT = (Status.PAID, Status.SHIPPED, Status.DELIVERED)


def purchases(user_id: UUID | None = None, book_id: UUID | None = None) -> Select[Any]:
    """Books of orders that are paid and were not given back, with the moment of payment. Erased people bought none."""
    statement: Any = (
        select(
            Order.id.label("order_id"),
            Order.user_id,
            OrderItem.position,
            OrderItem.book_id,
            HistoryEntry.at.label("purchased_at"),
        )
        .join(OrderItem, OrderItem.order_id == Order.id)
        .join(HistoryEntry, (HistoryEntry.order_id == Order.id) & (HistoryEntry.status == Status.PAID))
        .where(Order.status.in_(BOUGHT), Order.user_id != NOBODY)
    )
    if user_id:
        statement = statement.where(Order.user_id == user_id)
    if book_id:
        statement = statement.where(OrderItem.book_id == book_id)
    return cast(Select[Any], statement)


def sales() -> Select[Any]:
    """Orders that were ever paid, whatever became of them since: what the catalog was told to let go of."""
    paid = exists().where(HistoryEntry.order_id == Order.id, HistoryEntry.status == Status.PAID)
    return select(Order.id.label("order_id")).where(paid)
