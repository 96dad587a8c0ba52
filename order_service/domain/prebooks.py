"""Pre-bookings: a queue for each book that is out of stock, served in its order as copies come in.

An offer is a promise to tell, not a reservation: who is told buys like anybody else. Copies that were offered count as
taken until they are bought, called off, or the offer ends; then the next in the queue are told. Who wants more
than there is gets what there is offered, since their turn has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, func, select, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.errors import Conflict, NotFound
from common.events.catalog import StockLevel
from common.events.orders import PrebookingDemandChanged
from order_service.domain import books, letters
from order_service.models import Book, Demand, Order, Prebooking, PrebookStatus

OPEN = (PrebookStatus.WAITING, PrebookStatus.NOTIFIED)
BATCH = 100
HOLD = timedelta(hours=48)
"""How long an offer stands."""


class InStock(Conflict):
    code = "in_stock"


class AlreadyPrebooked(Conflict):
    code = "already_prebooked"


class PrebookingClosed(Conflict):
    code = "prebooking_closed"


def request(session: Session, user_id: UUID, book_id: UUID, quantity: int) -> Prebooking:
    """Join the queue for a book. Raises NotFound, InStock or AlreadyPrebooked.

    The book is kept from changing meanwhile: news of copies come before, and are seen, or after, and see who waits.
    """
    books.on_sale(session, [book_id])
    available = session.scalar(select(Book.available).where(Book.book_id == book_id).with_for_update(read=True))
    if (available or 0) > 0:
        raise InStock("This book is in stock: it can be ordered.")
    demand = _lock(session, book_id)
    if session.scalar(_open(book_id).where(Prebooking.user_id == user_id)):
        raise AlreadyPrebooked("You are in the queue for this book already.")
    prebooking = Prebooking(user_id=user_id, book_id=book_id, quantity=quantity)
    session.add(prebooking)
    session.flush()
    _tell(session, demand)
    return prebooking


def own(session: Session, user_id: UUID, prebooking_id: UUID) -> Prebooking:
    """Raises NotFound, for somebody else's too."""
    found = session.get(Prebooking, prebooking_id)
    if found is None or found.user_id != user_id:
        raise NotFound
    return found


def offered(session: Session, user_id: UUID, prebooking_id: UUID) -> tuple[UUID, int]:
    """The book of somebody's offer, and how many copies. Raises NotFound or PrebookingClosed."""
    prebooking = own(session, user_id, prebooking_id)
    if prebooking.status != PrebookStatus.NOTIFIED:
        raise PrebookingClosed(f"Nothing is offered to a pre-booking that is {prebooking.status}.")
    return prebooking.book_id, prebooking.offered


def cancel(session: Session, user_id: UUID, prebooking_id: UUID) -> None:
    """Leave the queue; what was offered goes to the next. Raises NotFound or PrebookingClosed."""
    book_id = own(session, user_id, prebooking_id).book_id
    demand = _lock(session, book_id)
    prebooking = session.get_one(Prebooking, prebooking_id, populate_existing=True)
    if prebooking.status not in OPEN:
        raise PrebookingClosed(f"A pre-booking that is {prebooking.status} cannot be called off.")
    prebooking.status = PrebookStatus.CANCELLED
    _offer(session, demand)


def serve(session: Session, book_id: UUID) -> None:
    """Offer what can be had of a book to those who wait for it."""
    if session.scalar(_open(book_id).limit(1)):
        _offer(session, _lock(session, book_id))


def fulfil(session: Session, order: Order, left: Iterable[StockLevel]) -> None:
    """Who has got an order for a book waits for it no longer; what they were offered beyond it goes to the next.

    `left` is what the order left. Of a book that is not in it nothing is offered before its next news, since the
    replica may still count the order's own copies.
    """
    wanted = {item.book_id for item in order.items}
    held = select(Prebooking.book_id).where(
        Prebooking.user_id == order.user_id, Prebooking.book_id.in_(wanted), Prebooking.status.in_(OPEN)
    )
    held_ids = sorted(session.scalars(held))
    levels = {level.book_id: level for level in left if level.book_id in held_ids}
    books.take_over_levels(session, levels.values())  # books are locked before their queues
    for book_id in held_ids:
        demand = _lock(session, book_id)
        for prebooking in session.scalars(_open(book_id).where(Prebooking.user_id == order.user_id)):
            prebooking.status = PrebookStatus.FULFILLED
        session.flush()
        if book_id in levels:
            _offer(session, demand)
        else:
            _tell(session, demand)


def overdue(session: Session) -> list[UUID]:
    """Books of which an offer has run out, or of which more could be offered than is."""
    late = select(Prebooking.book_id).where(
        Prebooking.status == PrebookStatus.NOTIFIED, Prebooking.expires_at < utcnow()
    )
    idle = (
        select(Prebooking.book_id)
        .join(Book, Book.book_id == Prebooking.book_id)
        .where(Prebooking.status.in_(OPEN), Book.is_active)
        .group_by(Prebooking.book_id, Book.available)
        .having(func.bool_or(Prebooking.status == PrebookStatus.WAITING))
        .having(func.sum(Prebooking.offered) < Book.available)
    )
    return list(session.scalars(union(late, idle).limit(BATCH)))


def expire(session: Session, book_id: UUID) -> None:
    """End the offers of a book that nobody took up, and offer what can be had of it to the next."""
    demand = _lock(session, book_id)
    late = _open(book_id).where(Prebooking.status == PrebookStatus.NOTIFIED, Prebooking.expires_at < utcnow())
    for prebooking in session.scalars(late):
        prebooking.status = PrebookStatus.CANCELLED
    _offer(session, demand)


def erase(session: Session, user_id: UUID) -> None:
    """Remove somebody from every queue, and all trace of their having stood in one."""
    theirs = select(Prebooking.book_id).where(Prebooking.user_id == user_id).distinct()
    for book_id in sorted(session.scalars(theirs)):
        demand = _lock(session, book_id)
        for prebooking in session.scalars(
            select(Prebooking).where(Prebooking.user_id == user_id, Prebooking.book_id == book_id)
        ):
            session.delete(prebooking)
        _offer(session, demand)


def _lock(session: Session, book_id: UUID) -> Demand:
    """Keep the queue for a book from changing until this transaction ends."""
    session.execute(
        insert(Demand).values(book_id=book_id, version=0, waiting_count=0, waiting_quantity=0).on_conflict_do_nothing()
    )
    return session.scalars(
        select(Demand).where(Demand.book_id == book_id).with_for_update().execution_options(populate_existing=True)
    ).one()


def _offer(session: Session, demand: Demand) -> None:
    session.flush()
    queue = session.scalars(_open(demand.book_id).execution_options(populate_existing=True)).all()
    left = _available(session, demand.book_id) - sum(each.offered for each in queue)
    for prebooking in _waiting(queue):
        if left <= 0:
            break
        prebooking.offered = min(prebooking.quantity, left)
        prebooking.status = PrebookStatus.NOTIFIED
        prebooking.notified_at, prebooking.expires_at = utcnow(), utcnow() + HOLD
        left -= prebooking.offered
        letters.owe(session, letters.BACK_IN_STOCK, prebooking.id, prebooking.user_id)
    session.flush()
    _tell(session, demand)


def _available(session: Session, book_id: UUID) -> int:
    found = session.scalar(select(Book.available).where(Book.book_id == book_id, Book.is_active))
    return found or 0


def _waiting(queue: Iterable[Prebooking]) -> Iterable[Prebooking]:
    return (each for each in queue if each.status == PrebookStatus.WAITING)


def _open(book_id: UUID) -> Select[Prebooking]:
    return select(Prebooking).where(Prebooking.book_id == book_id, Prebooking.status.in_(OPEN)).order_by(Prebooking.id)


def _tell(session: Session, demand: Demand) -> None:
    """Publish how many wait now, if it is not what was published last."""
    waiting = select(func.count(), func.coalesce(func.sum(Prebooking.quantity), 0)).where(
        Prebooking.book_id == demand.book_id, Prebooking.status == PrebookStatus.WAITING
    )
    count, quantity = session.execute(waiting).one()
    if (count, quantity) == (demand.waiting_count, demand.waiting_quantity):
        return
    demand.waiting_count, demand.waiting_quantity, demand.version = count, quantity, demand.version + 1
    outbox.record(
        session,
        PrebookingDemandChanged(
            book_id=demand.book_id, version=demand.version, waiting_count=count, waiting_quantity=quantity
        ),
    )
