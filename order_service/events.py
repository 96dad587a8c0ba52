"""All that the order service does about what the other services tell."""

from __future__ import annotations

from sqlalchemy.orm import Session

from common import contacts
from common.events.auth import UserErased, UserRegistered, UserUpdated
from common.events.catalog import BookAdded, BookChanged, BookRestocked, StockChanged, StockRejected, StockReserved
from common.inbox import Handlers
from order_service.domain import books, decisions, people, prebooks
from order_service.models import Customer


def book_told(session: Session, event: BookAdded | BookChanged) -> None:
    books.take_over(session, [event])
    prebooks.serve(session, event.book_id)


def stock_told(session: Session, event: StockChanged) -> None:
    books.take_over_stock(session, event)
    prebooks.serve(session, event.book_id)


def book_restocked(session: Session, event: BookRestocked) -> None:
    prebooks.serve(session, event.book_id)


def user_told(session: Session, event: UserRegistered | UserUpdated) -> None:
    contacts.note(session, Customer, event.user_id, event.username, event.email)


def user_erased(session: Session, event: UserErased) -> None:
    people.erase(session, event.user_id)


HANDLERS: Handlers = {
    BookAdded: book_told,
    BookChanged: book_told,
    StockChanged: stock_told,
    BookRestocked: book_restocked,
    StockReserved: decisions.confirm,
    StockRejected: decisions.reject,
    UserRegistered: user_told,
    UserUpdated: user_told,
    UserErased: user_erased,
}

RETIRED: frozenset[str] = frozenset()
"""Names of events that were handled once and are given up for good: what still comes of them is closed unread."""
