"""The stock ledger: every change of stock is an entry, and a book's figures are the sums of its entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Row, Table, Uuid, column, insert, select, update, values
from sqlalchemy.orm import Session

from catalog_service.models import Book, MovementKind, StockMovement
from common import outbox
from common.db import utcnow
from common.events import Event
from common.events.catalog import BookRestocked, StockChanged
from common.ids import new_id

# What one unit of a movement adds to on_hand, to reserved, and to the units sold.
EFFECTS: dict[MovementKind, tuple[int, int, int]] = {
    MovementKind.RECEIVED: (1, 0, 0),
    MovementKind.RESERVED: (0, 1, 0),
    MovementKind.RELEASED: (0, -1, 0),
    MovementKind.SOLD: (-1, -1, 1),
    MovementKind.RETURNED: (1, 0, 0),
    MovementKind.CORRECTED: (1, 0, 0),
}

AnyRow = Row[*tuple[Any, ...]]

_books: Table = Book.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Movement:
    book_id: UUID
    kind: MovementKind
    quantity: int
    actor: str
    reason: str | None = None
    order_id: UUID | None = None

    def row(self) -> dict[str, Any]:
        return {
            "id": new_id(),
            "book_id": self.book_id,
            "kind": self.kind,
            "quantity": self.quantity,
            "actor": self.actor,
            "reason": self.reason,
            "order_id": self.order_id,
            "at": utcnow(),
        }


def lock(session: Session, book_ids: Iterable[UUID]) -> dict[UUID, AnyRow]:
    """The stock of these books, locked in the order of their ids so that no two transactions wait for each other.

    Columns, not entities: an entity that the session knew already would show its figures from before the lock.
    """
    statement = (
        select(_books.c.id, _books.c.code, _books.c.is_active, _books.c.on_hand, _books.c.reserved)
        .where(_books.c.id.in_(set(book_ids)))
        .order_by(_books.c.id)
        .with_for_update()
    )
    return {row.id: row for row in session.execute(statement)}


def post(session: Session, movements: Sequence[Movement]) -> None:
    """Enter movements of books that the caller has locked, and tell what it changed."""
    if not movements:
        return
    session.execute(insert(StockMovement.__table__), [movement.row() for movement in movements])  # type: ignore[arg-type]
    outbox.record_all(session, _apply(session, _effects(movements)))


def _effects(movements: Iterable[Movement]) -> dict[UUID, tuple[int, int, int]]:
    """What the movements add to each book's figures."""
    sums: dict[UUID, tuple[int, int, int]] = {}
    for movement in movements:
        on_hand, reserved, sold = sums.get(movement.book_id, (0, 0, 0))
        each = EFFECTS[movement.kind]
        sums[movement.book_id] = (
            on_hand + each[0] * movement.quantity,
            reserved + each[1] * movement.quantity,
            sold + each[2] * movement.quantity,
        )
    return sums


def _apply(session: Session, effects: dict[UUID, tuple[int, int, int]]) -> list[Event]:
    """Add to the books' figures; returns what there is to tell."""
    change = values(
        column("id", Uuid),
        column("on_hand", Integer),
        column("reserved", Integer),
        column("sold", BigInteger),
        name="change",
    ).data([(book_id, *effect) for book_id, effect in effects.items()])
    statement = (
        update(_books)
        .where(_books.c.id == change.c.id)
        .values(
            on_hand=_books.c.on_hand + change.c.on_hand,
            reserved=_books.c.reserved + change.c.reserved,
            units_sold=_books.c.units_sold + change.c.sold,
            version=_books.c.version + 1,
        )
        .returning(
            _books.c.id,
            _books.c.version,
            _books.c.is_active,
            (_books.c.on_hand - _books.c.reserved).label("available"),
        )
    )
    events: list[Event] = []
    for row in session.execute(statement):
        on_hand, reserved, _ = effects[row.id]
        events += _news(row, before=row.available - (on_hand - reserved))
    return events


def _news(row: AnyRow, *, before: int) -> list[Event]:
    if row.available == before:
        return []
    news: list[Event] = [StockChanged(book_id=row.id, version=row.version, available=row.available)]
    if before == 0 and row.is_active:
        news.append(BookRestocked(book_id=row.id, available=row.available))
    return news
