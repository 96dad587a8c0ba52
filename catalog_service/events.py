"""All that the catalog does about what the other services tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from catalog_service.domain import ratings, reservations
from common.events import Event
from common.events.orders import OrderCancelled, OrderLine, OrderPaid, OrderPlaced, OrderRefunded
from common.events.reviews import BookRatingChanged


def order_placed(session: Session, event: OrderPlaced) -> None:
    reservations.reserve(session, event.order_id, _quantities(event.lines))


def order_paid(session: Session, event: OrderPaid) -> None:
    reservations.sell(session, event.order_id)


def order_cancelled(session: Session, event: OrderCancelled) -> None:
    reservations.release(session, event.order_id)


def order_refunded(session: Session, event: OrderRefunded) -> None:
    if event.restock:
        reservations.take_back(session, event.order_id, _quantities(event.lines))


def book_rating_changed(session: Session, event: BookRatingChanged) -> None:
    ratings.take_over(session, event.book_id, event.version, event.count, event.average)


def _quantities(lines: Iterable[OrderLine]) -> dict[UUID, int]:
    """How many of each book; one that stands on two lines adds up."""
    wanted: Counter[UUID] = Counter()
    for line in lines:
        wanted[line.book_id] += line.quantity
    return dict(wanted)


HANDLERS: dict[type[Event], Callable[[Session, Any], None]] = {
    OrderPlaced: order_placed,
    OrderPaid: order_paid,
    OrderCancelled: order_cancelled,
    OrderRefunded: order_refunded,
    BookRatingChanged: book_rating_changed,
}
