"""Events and reviews, of users and books that need no more than an id."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from common.db import Database
from common.events.orders import OrderLine, OrderPaid, OrderRefunded
from common.ids import new_id
from review_service.domain import purchases, reviews
from review_service.events import HANDLERS
from tests.support.database import deliver
from tests.support.tokens import bearer


def paid(user: UUID, *books: UUID, order: UUID | None = None) -> OrderPaid:
    return OrderPaid(order_id=order or new_id(), user_id=user, lines=_lines(books))


def refunded(user: UUID, *books: UUID, order: UUID) -> OrderRefunded:
    return OrderRefunded(
        order_id=order, user_id=user, amount=Decimal("9.99"), currency="USD", restock=False, lines=_lines(books)
    )


def _lines(books: tuple[UUID, ...]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(book_id=book, quantity=1) for book in books)


def buy(database: Database, user: UUID, *books: UUID) -> None:
    deliver(database, HANDLERS, paid(user, *books))


def write(session: Session, book: UUID, *, rating: int = 4, user: UUID | None = None) -> UUID:
    """A review by somebody who bought the book."""
    writer = user or new_id()
    purchases.add(session, writer, new_id(), [book])
    return reviews.create(
        session,
        book_id=book,
        user_id=writer,
        name="reader",
        content={"rating": rating, "title": None, "body": None},
        require_purchase=True,
    )


def post(
    client: FlaskClient, book: UUID, *, user: UUID, rating: int = 4, username: str = "reader", **fields: Any
) -> Any:
    body = {"book_id": str(book), "rating": rating, **fields}
    return client.post("/api/v1/reviews", json=body, headers=bearer(subject=user, username=username))


def reviewed(database: Database, client: FlaskClient, book: UUID, **fields: Any) -> dict[str, Any]:
    """The answer to a review posted by a buyer, with the headers that its writer sends."""
    user = fields.pop("user", None) or new_id()
    buy(database, user, book)
    answer = post(client, book, user=user, **fields)
    assert answer.status_code == 201, answer.json
    return {**answer.json, "etag": answer.headers["ETag"], "headers": bearer(subject=user)}
