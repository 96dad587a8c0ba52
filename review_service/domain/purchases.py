"""Who bought what: a replica of the order service, fed by its events.

Three sources write it: events, a question about one buyer and book, and a rebuild of the whole. The order
service's word counts as of the moment at which it was asked: what an event has told since then stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, SQLColumnExpression, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from review_service.domain import erasures
from review_service.models import Erasure, Purchase


class Bought(BaseModel):
    """One book of one paid order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    user_id: UUID
    book_id: UUID
    order_id: UUID


def has_bought(session: Session, user_id: UUID, book_id: UUID) -> bool:
    return bool(session.scalar(select(bought(user_id, book_id))))


def bought(user_id: UUID | SQLColumnExpression[UUID], book_id: UUID | SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """As `has_bought`, within a statement."""
    of_user = (Purchase.user_id == user_id, Purchase.book_id == book_id)
    return exists().where(*of_user, Purchase.withdrawn_at.is_(None))


def add(session: Session, user_id: UUID, order_id: UUID, books: Collection[UUID]) -> None:
    """An order was paid. One that has been refunded already stays withdrawn."""
    rows = [{"user_id": user_id, "order_id": order_id, "book_id": id} for id in sorted(books)]
    if rows and not erasures.is_erased(session, user_id):
        session.execute(insert(Purchase).values(rows).on_conflict_do_nothing())


def withdraw(session: Session, user_id: UUID, order_id: UUID, books: Collection[UUID]) -> None:
    """These books of an order were refunded. What was reviewed before stays."""
    rows = [
        {"user_id": user_id, "order_id": order_id, "book_id": id, "withdrawn_at": func.now()} for id in sorted(books)
    ]
    if rows and not erasures.is_erased(session, user_id):
        withdrawn = {"withdrawn_at": func.now()}
        key = list(Purchase.__table__.primary_key)
        session.execute(insert(Purchase).values(rows).on_conflict_do_update(index_elements=key, set_=withdrawn))


def moment(session: Session) -> datetime:
    """The database's time: the one that `learn` compares with."""
    return session.scalars(select(func.clock_timestamp())).one()


def learn(session: Session, answer: Sequence[Bought], asked_at: datetime) -> None:
    """Take over what the order service said when it was asked at `asked_at` or later.

    An answer that comes late leaves what was checked after it as it is: a rebuild, which has asked since, would
    otherwise take it for something that it has not seen.
    """
    unknown = erasures.erased(session, {each.user_id for each in answer})
    unique = {(each.user_id, each.book_id, each.order_id): each for each in answer if each.user_id not in unknown}
    rows = [unique[key].model_dump() | {"checked_at": asked_at} for key in sorted(unique)]
    if not rows:
        return
    session.execute(
        insert(Purchase)
        .values(rows)
        .on_conflict_do_update(
            index_elements=list(Purchase.__table__.primary_key),
            set_={"checked_at": func.greatest(Purchase.checked_at, asked_at), "withdrawn_at": None},
            where=or_(Purchase.withdrawn_at.is_(None), Purchase.withdrawn_at < asked_at),
        )
    )


def rebuild(database: Database, pages: Iterable[list[Bought]]) -> tuple[int, int]:
    """Make the replica equal to the order service's `pages`; returns how many it has and how many it lost.

    Page by page, each in a transaction of its own: reviews are written and events handled meanwhile. Only when all
    pages are in is it known what is missing from them.
    """
    with database.read() as reader:
        asked_at = moment(reader)
    for page in pages:
        with database.transaction() as session:
            learn(session, page, asked_at)
    with database.transaction() as session:
        session.execute(delete(Purchase).where(Purchase.user_id.in_(select(Erasure.user_id))))
        withdrawn = _withdraw_unseen(session, asked_at)
        known = session.scalar(select(func.count()).select_from(Purchase).where(Purchase.withdrawn_at.is_(None)))
    return known or 0, withdrawn


def _withdraw_unseen(session: Session, asked_at: datetime) -> int:
    """Withdraw what was there before the order service was asked, and was not in its answer."""
    statement = (
        update(Purchase)
        .where(Purchase.withdrawn_at.is_(None), Purchase.checked_at < asked_at)
        .values(withdrawn_at=func.now())
        .returning(Purchase.order_id)
        .execution_options(synchronize_session=False)
    )
    return len(session.execute(statement).all())
