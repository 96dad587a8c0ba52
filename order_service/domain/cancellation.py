"""Calling an order off, by its buyer or by the staff, and moving it on."""

from __future__ import annotations

from sqlalchemy.orm import Session

from order_service.domain import payments, status
from order_service.domain.status import PAYABLE, UNPAID, IllegalTransition
from order_service.models import Order, Refund, Status

STAFF_MAY_ENTER = frozenset({Status.SHIPPED, Status.DELIVERED, Status.CANCELLED})


def cancel(session: Session, order: Order, *, actor: str, reason: str) -> Refund | None:
    """End a locked order before it ships: nothing was paid, or the refund returned here gives it all back."""
    if order.status in UNPAID:
        status.change(session, order, Status.CANCELLED, actor=actor, reason=reason)
        return None
    if order.status == Status.PAID:
        _refuse_while_refunding(session, order)
        return payments.refund(session, order, None, restock=True, actor=actor, reason=reason)
    raise IllegalTransition(f"An order that is {order.status} cannot be cancelled any more.")


def move_on(session: Session, order: Order, to: Status, *, actor: str, reason: str | None) -> Refund | None:
    """What the staff may do by hand: ship, deliver, cancel, refund. Money and stock are never just declared."""
    if to == Status.REFUNDED and to in status.TRANSITIONS[Status(order.status)]:
        _refuse_while_refunding(session, order)
        restock = order.status == Status.PAID
        return payments.refund(session, order, None, restock=restock, actor=actor, reason=reason)
    if to not in STAFF_MAY_ENTER:
        raise IllegalTransition(f"An order that is {order.status} cannot be made {to} by hand.")
    _refuse_while_refunding(session, order)
    default = "cancelled_by_staff" if to == Status.CANCELLED else None
    status.change(session, order, to, actor=actor, reason=reason or default)
    return None


def force(session: Session, order: Order, to: Status, *, actor: str, reason: str) -> Refund | None:
    """What the table does not allow and the staff need: stock and money follow. Raises IllegalTransition."""
    if to in status.TRANSITIONS[Status(order.status)] and (to in STAFF_MAY_ENTER or to == Status.REFUNDED):
        return move_on(session, order, to, actor=actor, reason=reason)
    if to not in status.FORCED.get(Status(order.status), frozenset()):
        raise IllegalTransition(f"An order that is {order.status} cannot become {to}, not even by force.")
    _refuse_while_refunding(session, order)
    if to == Status.CANCELLED:
        return payments.refund(session, order, None, restock=True, actor=actor, reason=reason)
    if to == Status.PAID and order.status in PAYABLE:
        payments.take_by_hand(session, order, actor=actor, reason=reason)
        return None
    status.correct(session, order, to, actor=actor, reason=reason)
    return None


def _refuse_while_refunding(session: Session, order: Order) -> None:
    if payments.has_pending_refund(session, order.id):
        raise payments.RefundPending("A refund of this order is under way.")
