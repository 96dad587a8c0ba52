"""How many of each book were sold: a figure beside the stock ledger, which has every sale.

The order service knows which orders were paid; an order that it tells of and that still holds its books here is
sold as its event would have sold it, once. The figures are then counted anew from the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from catalog_service.domain import ledger, reservations
from catalog_service.models import Book, MovementKind, StockMovement
from common.db import Database

BATCH = 500


def rebuild(database: Database, pages: Iterable[list[UUID]]) -> tuple[int, int]:
    """Returns how many paid orders there are, and how many books had another figure.

    In small transactions: books are sold meanwhile, each sale under its book's lock.
    """
    orders = 0
    for page in pages:
        for order_id in page:
            _sell(database, order_id)
        orders += len(page)
    with database.read() as reader:
        books = reader.scalars(select(Book.id).order_by(Book.id)).all()
    differed = 0
    for start in range(0, len(books), BATCH):
        with database.transaction() as session:
            differed += recount(session, books[start : start + BATCH])
    return orders, differed


def _sell(database: Database, order_id: UUID) -> None:
    """Nothing for an order that is not known here yet: its events are still on their way."""
    with database.transaction() as session:
        if reservations.is_held(session, order_id):
            reservations.sell(session, order_id)


def recount(session: Session, book_ids: Sequence[UUID]) -> int:
    """Set these books' figures to the sums of their sales; returns how many differed."""
    ledger.lock(session, book_ids)
    sold = (
        select(func.coalesce(func.sum(StockMovement.quantity), 0))
        .where(StockMovement.book_id == Book.id, StockMovement.kind == MovementKind.SOLD)
        .scalar_subquery()
    )
    statement = (
        update(Book)
        .where(Book.id.in_(book_ids), Book.units_sold != sold)
        .values(units_sold=sold, version=Book.version + 1)
        .returning(Book.id)
        .execution_options(synchronize_session=False)
    )
    return len(session.execute(statement).all())
