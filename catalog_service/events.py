"""All that the catalog does about what the other services tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from catalog_service.domain import inventory, people, ratings, reservations
from catalog_service.domain.ratings import Rating
from catalog_service.models import Contact
from common import contacts
from common.events import Event
from common.events.auth import UserErased, UserRegistered, UserUpdated
from common.events.orders import (
    OrderCancelled,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    PrebookingDemandChanged,
)
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
    rating = Rating(book_id=event.book_id, version=event.version, count=event.count, average=event.average)
    ratings.take_over(session, rating)


def prebooking_demand_changed(session: Session, event: PrebookingDemandChanged) -> None:
    inventory.note_demand(session, event.book_id, event.version, event.waiting_quantity, event.waiting_count)


def user_changed(session: Session, event: UserRegistered | UserUpdated) -> None:
    contacts.note(session, Contact, event.user_id, event.username, event.email)


def user_erased(session: Session, event: UserErased) -> None:
    people.erase(session, event.user_id)


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
    PrebookingDemandChanged: prebooking_demand_changed,
    BookRatingChanged: book_rating_changed,
    UserRegistered: user_changed,
    UserUpdated: user_changed,
    UserErased: user_erased,
}

RETIRED: frozenset[str] = frozenset()
"""Names of events that were handled once and are given up for good: what still comes of them is closed unread."""
