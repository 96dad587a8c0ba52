"""Whose reviews they are: a replica of the users' names, and its end."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from review_service.domain import erasures, ratings, reports, votes
from review_service.models import HelpfulVote, Purchase, Review, Reviewer, ReviewReport

ANONYMOUS = "Anonymous"
"""Stands for a name until one is known: a token without the scope `profile` tells none."""


class Named(BaseModel):
    """A user and the name that they go by."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    user_id: UUID
    username: str


def introduce(session: Session, user_id: UUID, name: str) -> None:
    """Note the name of a first-time reviewer. One that is known stays: a token may be older than the last renaming."""
    statement = insert(Reviewer).values(user_id=user_id, name=name)
    nameless = Reviewer.name == ANONYMOUS
    session.execute(
        statement.on_conflict_do_update(index_elements=[Reviewer.user_id], set_={"name": name}, where=nameless)
    )


def rename(session: Session, user_id: UUID, name: str) -> None:
    """Note a user's new name, also of one who has not reviewed yet: their token may still say the old one."""
    if erasures.is_erased(session, user_id):
        return
    statement = insert(Reviewer).values(user_id=user_id, name=name)
    session.execute(statement.on_conflict_do_update(index_elements=[Reviewer.user_id], set_={"name": name}))


def rebuild(database: Database, pages: Iterable[list[Named]]) -> tuple[int, int]:
    """Show the names of the auth service's `pages`; returns how many are shown and how many of them were others.

    Who is renamed or erased meanwhile has the name that the event told, or none: only the name that was there before
    the auth service was asked is replaced.
    """
    with database.read() as reader:
        before = {row.user_id: row.name for row in reader.execute(select(Reviewer.user_id, Reviewer.name))}
    differed = 0
    for page in pages:
        wrong = [each for each in page if before.get(each.user_id, each.username) != each.username]
        with database.transaction() as session:
            differed += sum(_correct(session, each, before[each.user_id]) for each in wrong)
    return len(before), differed


def _correct(session: Session, named: Named, wrong: str) -> bool:
    shown = update(Reviewer).where(Reviewer.user_id == named.user_id, Reviewer.name == wrong)
    return session.scalar(shown.values(name=named.username).returning(Reviewer.user_id)) is not None


def erase(session: Session, user_id: UUID) -> None:
    """Forget a person: reviews (deleted ones too), votes, reports, purchases, name; not that they were erased."""
    erasures.lock(session, user_id)
    erasures.note(session, user_id)
    _lock(session, user_id)
    votes.erase(session, user_id)
    reports.erase(session, user_id)
    gone = delete(Review).where(Review.user_id == user_id).returning(Review)
    # Not those that were locked: another may have been written since.
    own = session.scalars(gone.execution_options(synchronize_session=False, populate_existing=True)).all()
    for review in sorted(own, key=ratings.lock_order):
        if review.is_counted:
            ratings.shift(session, review.book_id, lost=review.rating)
    session.execute(delete(Purchase).where(Purchase.user_id == user_id))
    session.execute(delete(Reviewer).where(Reviewer.user_id == user_id))


def _lock(session: Session, user_id: UUID) -> None:
    """Lock every review that the user wrote, voted for or reported.

    All at once and in one order, so that two erasures at once cannot wait for each other.
    """
    voted = select(HelpfulVote.review_id).where(HelpfulVote.user_id == user_id)
    reported = select(ReviewReport.review_id).where(ReviewReport.user_id == user_id)
    touched = or_(Review.user_id == user_id, Review.id.in_(voted), Review.id.in_(reported))
    session.execute(select(Review.id).where(touched).order_by(Review.id).with_for_update())
