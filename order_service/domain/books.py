"""The replica of the catalog's books: what they are called, cost, and how many can be had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.errors import NotFound
from common.events.catalog import BookAdded, BookChanged, StockChanged, StockLevel
from order_service.models import Book

FIELDS = ("version", "code", "title", "price", "currency", "is_active", "available", "cost_price")


def take_over(session: Session, states: Sequence[BookAdded | BookChanged]) -> None:
    """Store these states of books, each unless a newer one is known. The same version again repairs a row."""
    if not states:
        return
    rows: list[dict[str, Any]] = [
        {"book_id": state.book_id, **{name: getattr(state, name) for name in FIELDS}} for state in states
    ]
    statement = insert(Book).values(rows)
    newer = {name: statement.excluded[name] for name in FIELDS}
    newer["available"] = _latest_stock(statement.excluded.version, statement.excluded.available)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["book_id"], set_=newer, where=Book.version <= statement.excluded.version
        )
    )


def take_over_stock(session: Session, event: StockChanged) -> None:
    session.execute(
        update(Book)
        .where(Book.book_id == event.book_id, Book.version < event.version)
        .values(version=event.version, available=_latest_stock(event.version, event.available))
    )


def _latest_stock(version: Any, available: Any) -> Any:
    return case((Book.stock_version <= version, available), else_=Book.available)


def take_over_levels(session: Session, levels: Iterable[StockLevel]) -> None:
    """Store what a reservation left. The rest of a book's state at that version is told by its own news only."""
    for level in sorted(levels, key=lambda each: each.book_id):
        session.execute(
            update(Book)
            .where(Book.book_id == level.book_id, func.greatest(Book.version, Book.stock_version) < level.version)
            .values(stock_version=level.version, available=level.available)
        )


def unknown(session: Session, book_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these ids that the replica has never heard of."""
    wanted = set(book_ids)
    return wanted - set(session.scalars(select(Book.book_id).where(Book.book_id.in_(wanted))))


def in_stock(session: Session, book_id: UUID) -> bool:
    """As far as the replica knows."""
    return (session.scalar(select(Book.available).where(Book.book_id == book_id)) or 0) > 0


def on_sale(session: Session, book_ids: Iterable[UUID]) -> dict[UUID, Book]:
    """These books by id. Raises NotFound, naming it, for one that is not on sale."""
    wanted = set(book_ids)
    found = {book.book_id: book for book in session.scalars(select(Book).where(Book.book_id.in_(wanted)))}
    for book_id in sorted(wanted):
        if book_id not in found or not found[book_id].is_active:
            raise NotFound(f"There is no book {book_id} on sale.", book_id=str(book_id))
    return found


def all_ids(session: Session) -> set[UUID]:
    return set(session.scalars(select(Book.book_id)))


def forget(session: Session, gone: Iterable[UUID]) -> None:
    """Remove books that the catalog does not have."""
    session.execute(delete(Book).where(Book.book_id.in_(list(gone))))
