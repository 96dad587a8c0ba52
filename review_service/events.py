"""All that the review service does about what the other services tell."""

from __future__ import annotations

from sqlalchemy.orm import Session

from common.events.auth import UserErased, UserUpdated
from common.events.orders import OrderPaid, OrderRefunded
from common.inbox import Handlers
from review_service.domain import purchases, reviewers, reviews


def order_paid(session: Session, event: OrderPaid) -> None:
    purchases.add(session, event.user_id, event.order_id, {line.book_id for line in event.lines})
    reviews.verify(session, event.user_id)


def order_refunded(session: Session, event: OrderRefunded) -> None:
    purchases.withdraw(session, event.user_id, event.order_id, {line.book_id for line in event.lines})


def user_updated(session: Session, event: UserUpdated) -> None:
    reviewers.rename(session, event.user_id, event.username)


def user_erased(session: Session, event: UserErased) -> None:
    reviewers.erase(session, event.user_id)


HANDLERS: Handlers = {
    OrderPaid: order_paid,
    OrderRefunded: order_refunded,
    UserUpdated: user_updated,
    UserErased: user_erased,
}

RETIRED: frozenset[str] = frozenset()
"""Names of events that were handled once and are given up for good: what still comes of them is closed unread."""
