"""The safety net under reservations: those held for too long are settled as the order service says.

An order that nobody pays is cancelled by the order service, and its event releases the stock. Should that event, or
the one of a payment, be lost or given up as a dead letter, the stock would be held for good. So after a while we ask.

We never decide: an order that waits keeps its stock, however long. We act on two answers only, and both stay true
whatever happens between answer and action. Cancelled is final: no order leaves that status. An order that was
paid never becomes unpaid; it may be refunded, and then the refund's event takes back what was sold. An event that comes
late, or at the same moment, finds the reservation's row locked or settled, and does nothing. An order that the
order service does not know keeps its stock too: rather than that we are wrong, people look into it.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_service.domain import reservations
from catalog_service.models import Reservation, ReservationStatus
from common.telemetry import get_logger

BATCH = 100
PAID = frozenset({"PAID", "SHIPPED", "DELIVERED", "REFUNDED"})
FIRST = UUID(int=0)
log = get_logger(__name__)


def held_since(session: Session, moment: datetime, *, after: UUID = FIRST) -> list[UUID]:
    """A batch of the orders whose stock is held since before `moment`, in the order of their ids."""
    held = (Reservation.status == ReservationStatus.HELD, Reservation.created_at < moment)
    found = select(Reservation.order_id).where(*held, Reservation.order_id > after)
    return list(session.scalars(found.order_by(Reservation.order_id).limit(BATCH)))


def settle(session: Session, order_id: UUID, status: str | None) -> None:
    """`status` is what the order service says of the order; None when it does not know it."""
    if status == "CANCELLED":
        log.warning("reservation_released_late", order_id=str(order_id))
        reservations.release(session, order_id)
    elif status in PAID:
        log.warning("reservation_sold_late", order_id=str(order_id), status=status)
        reservations.sell(session, order_id)
    elif status is None:
        log.error("reservation_of_unknown_order", order_id=str(order_id))
