"""What the other services are told of books: always from the row as this transaction leaves it."""

from __future__ import annotations

from typing import Any

from catalog_service.domain import covers
from common.events.catalog import BookAdded, BookChanged


def state(book: Any) -> dict[str, Any]:
    """The members of BookAdded and BookChanged, of a Book or of a row with the same attributes."""
    return {
        "book_id": book.id,
        "version": book.version,
        "code": book.code,
        "title": book.title,
        "price": book.price,
        "currency": book.currency,
        "is_active": book.is_active,
        "available": book.on_hand - book.reserved,
        "cover_url": covers.lasting_url(book.id),
        "cost_price": book.cost_price,
    }


def added(book: Any) -> BookAdded:
    return BookAdded(**state(book))


def changed(book: Any) -> BookChanged:
    return BookChanged(**state(book))
