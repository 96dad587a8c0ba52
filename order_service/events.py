"""All that the order service does about what the other services tell."""

from __future__ import annotations

from sqlalchemy.orm import Session

from common.events.auth import UserErased
from common.events.catalog import BookAdded, BookChanged, StockChanged, StockRejected, StockReserved
from common.inbox import Handlers
from order_service.domain import books, decisions, people


def book_told(session: Session, event: BookAdded | BookChanged) -> None:
    books.take_over(session, [event])


def user_erased(session: Session, event: UserErased) -> None:
    people.erase(session, event.user_id)


HANDLERS: Handlers = {
    BookAdded: book_told,
    BookChanged: book_told,
    StockChanged: books.take_over_stock,
    StockReserved: decisions.confirm,
    StockRejected: decisions.reject,
    UserErased: user_erased,
}
