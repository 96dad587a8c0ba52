"""Stock as the staff see and correct it, and the check of the ledger against the figures."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from catalog_service.domain import ledger
from catalog_service.domain.fields import MAX_STOCK
from catalog_service.domain.ledger import AnyRow, Movement
from catalog_service.models import Book, MovementKind, StockMovement
from common.errors import Conflict, Invalid, NotFound


class BelowReserved(Conflict):
    code = "below_reserved"


def figures(session: Session, book_id: UUID) -> dict[str, int]:
    """Raises NotFound."""
    row = session.execute(select(Book.on_hand, Book.reserved).where(Book.id == book_id)).one_or_none()
    if row is None:
        raise NotFound
    return _shown(row)


def locked(session: Session, book_id: UUID) -> dict[str, int]:
    """The figures, which nobody else changes until the transaction ends. Raises NotFound."""
    return _shown(_lock(session, book_id))


def _shown(row: AnyRow) -> dict[str, int]:
    return {"on_hand": row.on_hand, "reserved": row.reserved, "available": row.on_hand - row.reserved}


def movements(book_id: UUID) -> Any:
    kept = (StockMovement.kind, StockMovement.quantity, StockMovement.reason, StockMovement.actor)
    return select(*kept, StockMovement.order_id, StockMovement.at).where(StockMovement.book_id == book_id)


def count(session: Session, book_id: UUID, on_hand: int, *, actor: str, reason: str | None) -> None:
    """So many were counted on the shelves. Raises NotFound or BelowReserved."""
    stock = _lock(session, book_id)
    delta = on_hand - stock.on_hand
    _enter(session, stock, Movement(book_id, MovementKind.CORRECTED, delta, actor=actor, reason=reason))


def adjust(session: Session, book_id: UUID, delta: int, *, actor: str, reason: str) -> None:
    """So many came in, or went missing. Raises NotFound, Invalid or BelowReserved."""
    kind = MovementKind.RECEIVED if delta > 0 else MovementKind.CORRECTED
    _enter(session, _lock(session, book_id), Movement(book_id, kind, delta, actor=actor, reason=reason))


def _lock(session: Session, book_id: UUID) -> AnyRow:
    stock = ledger.lock(session, [book_id]).get(book_id)
    if stock is None:
        raise NotFound
    return stock


def _enter(session: Session, stock: AnyRow, movement: Movement) -> None:
    left = stock.on_hand + movement.quantity
    if left > MAX_STOCK:
        raise Invalid.field("delta", f"there cannot be more than {MAX_STOCK} of a book")
    if left < stock.reserved:
        detail = f"{stock.reserved} are reserved for orders."
        raise BelowReserved(detail, on_hand=stock.on_hand, reserved=stock.reserved)
    if movement.quantity:
        ledger.post(session, [movement])


_DISAGREEMENTS = text("""
WITH entries AS (
    SELECT book_id,
        sum(quantity) FILTER (WHERE kind IN ('received', 'returned', 'corrected')) AS came,
        sum(quantity) FILTER (WHERE kind = 'sold') AS sold,
        sum(quantity) FILTER (WHERE kind = 'reserved') AS reserved,
        sum(quantity) FILTER (WHERE kind IN ('released', 'sold')) AS freed
    FROM stock_movements GROUP BY book_id
), held AS (
    SELECT line.book_id, sum(line.quantity) AS quantity
    FROM reservation_lines line JOIN reservations USING (order_id)
    WHERE reservations.status = 'held' GROUP BY line.book_id
), compared AS (
    SELECT books.id, books.code, books.on_hand, books.reserved,
        COALESCE(came, 0) - COALESCE(sold, 0) AS ledger_on_hand,
        COALESCE(entries.reserved, 0) - COALESCE(freed, 0) AS ledger_reserved,
        COALESCE(held.quantity, 0) AS held_by_orders
    FROM books LEFT JOIN entries ON entries.book_id = books.id LEFT JOIN held ON held.book_id = books.id
)
SELECT * FROM compared
WHERE on_hand <> ledger_on_hand OR reserved <> ledger_reserved OR reserved <> held_by_orders
    OR reserved < 0 OR reserved > on_hand
ORDER BY code
""")


def disagreements(session: Session) -> list[dict[str, Any]]:
    """Books whose figures are not the sums of their ledger: received + returned + corrected = on_hand + sold."""
    return [dict(row._mapping) for row in session.execute(_DISAGREEMENTS)]
