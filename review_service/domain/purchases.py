"""Who bought what: a replica of the order service, fed by its events.

Three sources write it: events, a question about one buyer and book, and a rebuild of the whole. The order
service's word counts as of the moment at which it was asked: what an event has told since then stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, SQLColumnExpression, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from review_service.models import Purchase


class Bought(BaseModel):
    """One book of one paid order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    user_id: UUID
    book_id: UUID
    order_id: UUID


def lock(session: Session, user_id: UUID) -> None:
    """Have what this user buys and what they write wait for each other, until the transaction ends.

    Neither would see the other otherwise, and a review written in that moment would never be verified.
    """
    waiting = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.purchases.' || :user, 0))")
    session.execute(waiting, {"user": str(user_id)})


def has_bought(session: Session, user_id: UUID, book_id: UUID) -> bool:
    return bool(session.scalar(select(bought(user_id, book_id))))


def bought(user_id: UUID | SQLColumnExpression[UUID], book_id: UUID | SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """As `has_bought`, within a statement."""
    of_user = (Purchase.user_id == user_id, Purchase.book_id == book_id)
    return exists().where(*of_user, Purchase.withdrawn_at.is_(None))


def add(session: Session, user_id: UUID, order_id: UUID, books: Collection[UUID]) -> None:
    """An order was paid. One that has been refunded already stays withdrawn."""
    lock(session, user_id)
    rows = [{"user_id": user_id, "order_id": order_id, "book_id": id} for id in sorted(books)]
    if rows:
        session.execute(insert(Purchase).values(rows).on_conflict_do_nothing())


def withdraw(session: Session, user_id: UUID, order_id: UUID, books: Collection[UUID]) -> None:
    """These books of an order were refunded. What was reviewed before stays."""
    rows = [
        {"user_id": user_id, "order_id": order_id, "book_id": id, "withdrawn_at": func.now()} for id in sorted(books)
    ]
    if rows:
        withdrawn = {"withdrawn_at": func.now()}
        key = list(Purchase.__table__.primary_key)
        session.execute(insert(Purchase).values(rows).on_conflict_do_update(index_elements=key, set_=withdrawn))


def moment(session: Session) -> datetime:
    """The database's time: the one that `learn` compares with."""
    return session.scalars(select(func.clock_timestamp())).one()


def learn(session: Session, answer: Iterable[Bought], asked_at: datetime) -> None:
    """Take over what the order service said when it was asked at `asked_at` or later.

    An answer that comes late leaves what was checked after it as it is: a rebuild, which has asked since, would
    otherwise take it for something that it has not seen.
    """
    unique = {(each.user_id, each.book_id, each.order_id): each for each in answer}
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
