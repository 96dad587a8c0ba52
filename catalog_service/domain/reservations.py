"""Stock set aside for orders: all of an order's lines or none, then sold, released, or taken back.

An order has one row in `reservations`, written by whatever is heard of it first. Every step locks that row,
then the books in the order of their ids; a step that the status does not allow has happened already, or is too
late, and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from catalog_service.domain import ledger
from catalog_service.domain.ledger import AnyRow, Movement
from catalog_service.models import Book, MovementKind, Reservation, ReservationLine, ReservationStatus
from common import outbox
from common.events.catalog import ShortLine, StockLevel, StockRejected, StockReserved

ACTOR = "order-service"
Quantities = Mapping[UUID, int]


class NothingReserved(LookupError):
    """An order was paid, or refunded, that nothing has been heard of: to be tried again, then looked at by people."""


def reserve(session: Session, order_id: UUID, wanted: Quantities) -> None:
    """Set all of it aside or nothing, and tell which; asked again, tell the same again."""
    if not _begin(session, order_id, ReservationStatus.HELD):
        _repeat_decision(session, order_id, wanted)
        return
    short = _short_lines(ledger.lock(session, wanted), wanted)
    if short:
        _set_status(session, order_id, ReservationStatus.REJECTED)
        outbox.record(session, StockRejected(order_id=order_id, reason="out_of_stock", lines=tuple(short)))
        return
    lines = [{"order_id": order_id, "book_id": id, "quantity": quantity} for id, quantity in wanted.items()]
    session.execute(insert(ReservationLine), lines)
    _post(session, order_id, MovementKind.RESERVED, wanted)
    outbox.record(session, StockReserved(order_id=order_id, stock=_left(session, wanted)))


def _repeat_decision(session: Session, order_id: UUID, wanted: Quantities) -> None:
    """What is still held, or was refused; the lines short are those of today. After a sale or a release nothing."""
    status = _lock_status(session, order_id)
    if status == ReservationStatus.HELD:
        outbox.record(session, StockReserved(order_id=order_id, stock=_left(session, wanted)))
    elif status == ReservationStatus.REJECTED:
        short = _short_lines(ledger.lock(session, wanted), wanted)
        outbox.record(session, StockRejected(order_id=order_id, reason="out_of_stock", lines=tuple(short)))


def _left(session: Session, book_ids: Iterable[UUID]) -> tuple[StockLevel, ...]:
    columns = (Book.id, Book.version, (Book.on_hand - Book.reserved).label("available"))
    rows = session.execute(select(*columns).where(Book.id.in_(set(book_ids))).order_by(Book.id))
    return tuple(StockLevel(book_id=row.id, version=row.version, available=row.available) for row in rows)


def _short_lines(stock: Mapping[UUID, AnyRow], wanted: Quantities) -> list[ShortLine]:
    """The lines that cannot be had; of a book that is not on sale there is none."""
    available = {id: row.on_hand - row.reserved if row.is_active else 0 for id, row in stock.items()}
    return [
        ShortLine(book_id=id, requested=quantity, available=available.get(id, 0))
        for id, quantity in sorted(wanted.items())
        if quantity > available.get(id, 0)
    ]


def sell(session: Session, order_id: UUID) -> None:
    """The order is paid: what it holds leaves the shop. Raises NothingReserved for an unknown order."""
    status = _lock_status(session, order_id)
    if status is None:
        raise NothingReserved(f"order {order_id} is paid or refunded but was never placed here")
    if status == ReservationStatus.HELD:
        _settle(session, order_id, MovementKind.SOLD, ReservationStatus.SOLD)


def is_held(session: Session, order_id: UUID) -> bool:
    """Whether books are set aside for this order."""
    return session.scalar(select(Reservation.status).where(Reservation.order_id == order_id)) == ReservationStatus.HELD


def release(session: Session, order_id: UUID) -> None:
    """The order is off: what it holds can be sold again, and should it be placed only now, it gets nothing."""
    if _begin(session, order_id, ReservationStatus.RELEASED):
        return
    if _lock_status(session, order_id) == ReservationStatus.HELD:
        _settle(session, order_id, MovementKind.RELEASED, ReservationStatus.RELEASED)


def take_back(session: Session, order_id: UUID, quantities: Quantities) -> None:
    """Books came back from a refunded order: never more of each than it bought and has not returned yet.

    What is refunded was paid: if that has not been told yet, it is sold now. Raises NothingReserved for an order that
    nothing has been heard of.
    """
    sell(session, order_id)
    if _lock_status(session, order_id) != ReservationStatus.SOLD:
        return
    left = {line.book_id: line.quantity - line.returned for line in _lines(session, order_id)}
    back = {id: min(wanted, left.get(id, 0)) for id, wanted in quantities.items() if left.get(id, 0) > 0}
    ledger.lock(session, back)
    for id, quantity in back.items():
        line = (ReservationLine.order_id == order_id, ReservationLine.book_id == id)
        session.execute(update(ReservationLine).where(*line).values(returned=ReservationLine.returned + quantity))
    _post(session, order_id, MovementKind.RETURNED, back)


def _begin(session: Session, order_id: UUID, status: ReservationStatus) -> bool:
    """Write the order's row unless it has one; a transaction that writes it at the same time is waited for."""
    statement = upsert(Reservation).values(order_id=order_id, status=status).on_conflict_do_nothing()
    return session.scalar(statement.returning(Reservation.order_id)) is not None


def _lock_status(session: Session, order_id: UUID) -> str | None:
    return session.scalar(select(Reservation.status).where(Reservation.order_id == order_id).with_for_update())


def _set_status(session: Session, order_id: UUID, status: ReservationStatus) -> None:
    session.execute(update(Reservation).where(Reservation.order_id == order_id).values(status=status))


def _settle(session: Session, order_id: UUID, kind: MovementKind, status: ReservationStatus) -> None:
    held = {line.book_id: line.quantity for line in _lines(session, order_id)}
    ledger.lock(session, held)
    _set_status(session, order_id, status)
    _post(session, order_id, kind, held)


def _lines(session: Session, order_id: UUID) -> Sequence[AnyRow]:
    columns = (ReservationLine.book_id, ReservationLine.quantity, ReservationLine.returned)
    return session.execute(select(*columns).where(ReservationLine.order_id == order_id)).all()


def _post(session: Session, order_id: UUID, kind: MovementKind, quantities: Quantities) -> None:
    ledger.post(
        session,
        [Movement(id, kind, quantity, actor=ACTOR, order_id=order_id) for id, quantity in quantities.items()],
    )
