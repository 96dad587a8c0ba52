"""The life of an order: one table of transitions, and one function through which every change goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from common import outbox
from common.db import notify, utcnow
from common.errors import Conflict, NotFound
from common.events import Event
from common.events import orders as events
from common.events.orders import OrderLine
from order_service.domain import letters, promotions, sales
from order_service.models import HistoryEntry, Order, Status

DECIDED = "decided"
"""The channel on which the requests that wait for an order's decision are woken, with its id."""
CHANGED = "changed"
"""The channel on which the streams of a user are woken, with the user's id."""

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.CONFIRMED, Status.CANCELLED}),
    Status.CONFIRMED: frozenset({Status.PAID, Status.PAYMENT_FAILED, Status.CANCELLED}),
    Status.PAYMENT_FAILED: frozenset({Status.PAID, Status.PAYMENT_FAILED, Status.CANCELLED}),
    Status.PAID: frozenset({Status.SHIPPED, Status.REFUNDED}),
    Status.SHIPPED: frozenset({Status.DELIVERED, Status.REFUNDED}),
    Status.DELIVERED: frozenset({Status.REFUNDED}),
    Status.CANCELLED: frozenset(),
    Status.REFUNDED: frozenset(),
}
FORCED: Mapping[Status, frozenset[Status]] = {
    Status.CONFIRMED: frozenset({Status.PAID}),
    Status.PAYMENT_FAILED: frozenset({Status.PAID}),
    Status.PAID: frozenset({Status.DELIVERED, Status.CANCELLED}),
    Status.SHIPPED: frozenset({Status.PAID, Status.CANCELLED}),
    Status.DELIVERED: frozenset({Status.SHIPPED, Status.PAID, Status.CANCELLED}),
}
"""What the staff may also do by force. Cancelling gives the money and the books back, which ends as REFUNDED;
paid by force is paid some other way. Going back corrects a mistake, and tells nobody."""

PAYABLE = frozenset({Status.CONFIRMED, Status.PAYMENT_FAILED})
UNPAID = frozenset({Status.PENDING, *PAYABLE})


class IllegalTransition(Conflict):
    code = "illegal_transition"


def lock(session: Session, order_id: UUID) -> Order:
    """The order as it is now, kept from changing until this transaction ends. Raises NotFound."""
    order = session.scalar(
        select(Order)
        .where(Order.id == order_id)
        .options(selectinload(Order.items))
        .with_for_update(of=Order)
        .execution_options(populate_existing=True)  # what the session read before the lock may be stale
    )
    if order is None:
        raise NotFound
    return order


def lock_own(session: Session, order_id: UUID, owner: UUID) -> Order:
    """As `lock`, for its owner: somebody else's order is absent."""
    order = lock(session, order_id)
    if order.user_id != owner:
        raise NotFound
    return order


def change(
    session: Session,
    order: Order,
    to: Status,
    *,
    actor: str,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Take a locked order to another status, into its history, and tell. Raises IllegalTransition.

    `expires_at` is for a status that waits for somebody; an order that was already waiting keeps its time.
    """
    if to not in TRANSITIONS[Status(order.status)]:
        raise IllegalTransition(f"An order that is {order.status} cannot become {to}.")
    was_pending = order.status == Status.PENDING
    order.status, order.updated_at = to, utcnow()
    order.expires_at = (expires_at or order.expires_at) if to in PAYABLE else None
    enter(session, order, actor=actor, reason=reason)
    if to == Status.CANCELLED:
        promotions.give_back(session, order.id)
        sales.cancelled(session, order.id)
    if to == Status.PAID:
        sales.sold(session, order.id)
    if told := _TOLD.get(to):
        outbox.record(session, told(order, reason or ""))
    if written := letters.OF_STATUS.get(to):
        letters.owe(session, written, order.id, order.user_id)
    if was_pending:
        notify(session, DECIDED, str(order.id))


def correct(session: Session, order: Order, to: Status, *, actor: str, reason: str) -> None:
    """Take a locked order back or ahead by force, into its history. Raises IllegalTransition."""
    if to not in FORCED.get(Status(order.status), frozenset()):
        raise IllegalTransition(f"An order that is {order.status} cannot become {to}, not even by force.")
    ahead = to == Status.DELIVERED
    order.status, order.updated_at = to, utcnow()
    enter(session, order, actor=actor, reason=reason)
    if ahead:
        outbox.record(session, _TOLD[to](order, reason))


def enter(session: Session, order: Order, *, actor: str, reason: str | None = None) -> None:
    """Write the status that the order is in now into its history, and wake who follows it."""
    session.add(HistoryEntry(order_id=order.id, status=order.status, actor=actor, reason=reason))
    session.flush()
    notify(session, CHANGED, str(order.user_id))


def lines(order: Order) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(book_id=item.book_id, quantity=item.quantity) for item in order.items)


def placed(order: Order) -> Event:
    """What asks the catalog to set the order's books aside, or to repeat its decision."""
    return events.OrderPlaced(
        order_id=order.id,
        user_id=order.user_id,
        number=order.number,
        lines=lines(order),
        total=order.total,
        currency=order.currency,
    )


def _cancelled(order: Order, reason: str) -> Event:
    return events.OrderCancelled(order_id=order.id, user_id=order.user_id, reason=reason, lines=lines(order))


def _paid(order: Order, _reason: str) -> Event:
    return events.OrderPaid(order_id=order.id, user_id=order.user_id, lines=lines(order))


# REFUNDED is told by the refund itself, which knows the amount and whether the books come back.
_TOLD: Mapping[Status, Callable[[Order, str], Event]] = {
    Status.CONFIRMED: lambda order, _: events.OrderConfirmed(order_id=order.id, user_id=order.user_id),
    Status.PAID: _paid,
    Status.PAYMENT_FAILED: lambda order, _: events.PaymentFailed(order_id=order.id, user_id=order.user_id),
    Status.SHIPPED: lambda order, _: events.OrderShipped(order_id=order.id, user_id=order.user_id),
    Status.DELIVERED: lambda order, _: events.OrderDelivered(order_id=order.id, user_id=order.user_id),
    Status.CANCELLED: _cancelled,
}
