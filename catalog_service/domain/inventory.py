"""What the shop is running out of, and how many people wait for it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from catalog_service.models import Book, BookDemand

AVAILABLE: ColumnElement[int] = Book.on_hand - Book.reserved


def low_stock(*, waiting: bool | None) -> Any:
    """Books on sale at or under their threshold; with `waiting`, only those that people wait for, or do not."""
    quantity = func.coalesce(BookDemand.waiting_quantity, 0)
    shown = (Book.id, Book.code, Book.isbn, Book.title, Book.on_hand, Book.reserved, Book.low_stock_threshold)
    found = (
        select(
            *shown,
            AVAILABLE.label("available"),
            quantity.label("waiting_quantity"),
            func.coalesce(BookDemand.waiting_count, 0).label("waiting_count"),
        )
        .join_from(Book, BookDemand, BookDemand.book_id == Book.id, isouter=True)
        .where(Book.is_active, Book.low_stock_threshold >= AVAILABLE)
    )
    return found if waiting is None else found.where((quantity > 0) == waiting)


def note_demand(session: Session, book_id: UUID, version: int, quantity: int, count: int) -> None:
    """Who waits for a book, as the order service tells it; what is older than what we know is ignored."""
    values = {"version": version, "waiting_quantity": quantity, "waiting_count": count}
    told = insert(BookDemand).values(book_id=book_id, **values)
    newer = BookDemand.version < version
    session.execute(told.on_conflict_do_update(index_elements=[BookDemand.book_id], set_=values, where=newer))
