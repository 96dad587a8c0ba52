"""Orders as they are shown: a list costs the same few queries however long it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from common.errors import NotFound
from order_service.models import HistoryEntry, Order, OrderItem, Payment, PaymentStatus

_ORDER = Order.__table__.c
ORDERS: Select[Any] = select(
    _ORDER.id,
    _ORDER.number,
    _ORDER.user_id,
    _ORDER.status,
    _ORDER.subtotal,
    _ORDER.discount,
    _ORDER.shipping,
    _ORDER.tax,
    _ORDER.tax_included,
    _ORDER.total,
    _ORDER.currency,
    _ORDER.shipping_address,
    _ORDER.shipping_method,
    _ORDER.promotion_code,
    _ORDER.placed_at,
    _ORDER.updated_at,
)
_ITEM_FIELDS = ("book_id", "title", "quantity", "unit_price", "line_total")
_HISTORY_FIELDS = ("status", "at", "actor", "reason")


def order(session: Session, order_id: UUID, *, owner: UUID | None = None) -> dict[str, Any]:
    """One order in full; with `owner`, only if it is theirs. Raises NotFound."""
    wanted = ORDERS.where(_ORDER.id == order_id)
    if owner is not None:
        wanted = wanted.where(_ORDER.user_id == owner)
    found = session.execute(wanted).one_or_none()
    if found is None:
        raise NotFound
    return complete(session, [plain(found)])[0]


def owned(session: Session, order_id: UUID, owner: UUID) -> Order:
    """The order itself, if it is theirs. Raises NotFound."""
    found = session.get(Order, order_id)
    if found is None or found.user_id != owner:
        raise NotFound
    return found


def plain(row: Row[Any]) -> dict[str, Any]:
    """The columns of an order, without what hangs on it."""
    return {column.name: getattr(row, column.name) for column in ORDERS.selected_columns}


def complete(session: Session, orders: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add items, history and payment to orders."""
    ids = [each["id"] for each in orders]
    items = _grouped(session.scalars(select(OrderItem).where(OrderItem.order_id.in_(ids)).order_by(OrderItem.position)))
    history = _grouped(
        session.scalars(select(HistoryEntry).where(HistoryEntry.order_id.in_(ids)).order_by(HistoryEntry.id))
    )
    payments = _grouped(session.scalars(select(Payment).where(Payment.order_id.in_(ids)).order_by(Payment.id)))
    return [
        {
            **each,
            "items": [_fields(item, _ITEM_FIELDS) for item in items[each["id"]]],
            "history": [_fields(entry, _HISTORY_FIELDS) for entry in history[each["id"]]],
            "payment": _payment(payments[each["id"]]),
        }
        for each in orders
    ]


def _grouped(rows: Iterable[Any]) -> dict[UUID, list[Any]]:
    by_order: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        by_order[row.order_id].append(row)
    return by_order


def _fields(row: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _payment(attempts: Sequence[Payment]) -> dict[str, Any] | None:
    """The one that has not failed counts, else the last: clocks that differ may have made its id an older one."""
    if not attempts:
        return None
    counts = next((each for each in attempts if each.status != PaymentStatus.FAILED), attempts[-1])
    return _fields(counts, ("provider", "status", "reference", "failure", "amount", "refunded"))
