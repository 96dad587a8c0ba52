"""What the catalog decides about an order's stock, and orders that were waited for long enough."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.errors import NotFound
from common.events.catalog import StockRejected, StockReserved
from order_service.domain import carts, prebooks, status
from order_service.models import Order, Payment, PaymentStatus, Status

CATALOG = "catalog-service"
SYSTEM = "order-service"
BATCH = 100


def confirm(session: Session, event: StockReserved) -> None:
    """The stock is set aside. Too late for an order that was given up, whose cancellation releases it again."""
    order = _pending(session, event.order_id)
    if order:
        expires_at = utcnow() + order.payment_ttl
        status.change(session, order, Status.CONFIRMED, actor=CATALOG, expires_at=expires_at)
        prebooks.fulfil(session, order, event.stock)


def reject(session: Session, event: StockRejected) -> None:
    """There is not enough: the order ends, and its cart gets back what was in it."""
    order = _pending(session, event.order_id)
    if order is None:
        return
    order.short_lines = [line.model_dump(mode="json") for line in event.lines]
    status.change(session, order, Status.CANCELLED, actor=CATALOG, reason=event.reason)
    if order.from_cart:
        carts.put_back(session, order)


def _pending(session: Session, order_id: UUID) -> Order | None:
    try:
        order = status.lock(session, order_id)
    except NotFound:
        return None  # not ours: another store's order on a shared bus, or one of a database restored from a backup
    return order if order.status == Status.PENDING else None


def redrive(session: Session, after: timedelta) -> None:
    """Place a batch of orders again that have waited so long for a decision, which the catalog then repeats."""
    since = func.coalesce(Order.redriven_at, Order.placed_at)
    waiting = select(Order.id).where(Order.status == Status.PENDING, since < utcnow() - after).order_by(Order.placed_at)
    for order_id in session.scalars(waiting.limit(BATCH).with_for_update(skip_locked=True, of=Order)).all():
        order = status.lock(session, order_id)
        order.redriven_at = utcnow()
        outbox.record(session, status.placed(order))


def longest_wait(session: Session) -> timedelta:
    """How long the oldest order has been waiting for its decision; zero when none is."""
    oldest = session.scalar(select(func.min(Order.placed_at)).where(Order.status == Status.PENDING))
    return utcnow() - oldest if oldest else timedelta()


def overdue(session: Session) -> Sequence[UUID]:
    """A batch of orders whose time is over. One at which somebody is, or that is being paid, is left alone."""
    late = _overdue().order_by(Order.expires_at).limit(BATCH)
    return session.scalars(late.with_for_update(skip_locked=True, of=Order)).all()


def expire(session: Session, order_id: UUID) -> None:
    """Cancel an order whose time is over.

    In a transaction of its own: whoever locks a promotion and a cart takes the promotion first, and a second order's
    promotion would come after the first one's cart.
    """
    order = status.lock(session, order_id)
    if session.scalar(_overdue().where(Order.id == order_id)) is None:
        return  # decided, paid or cancelled meanwhile
    reason = "no_stock_decision" if order.status == Status.PENDING else "unpaid"
    status.change(session, order, Status.CANCELLED, actor=SYSTEM, reason=reason)
    if reason == "no_stock_decision" and order.from_cart:
        carts.put_back(session, order)


def _overdue() -> Select[UUID]:
    being_paid = select(Payment.id).where(Payment.order_id == Order.id, Payment.status == PaymentStatus.PROCESSING)
    return select(Order.id).where(Order.expires_at < utcnow(), ~being_paid.exists())
