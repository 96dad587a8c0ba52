"""Whose reviews they are: a replica of the users' names, and its end."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from review_service.domain import ratings, votes
from review_service.models import Purchase, Review, Reviewer


def introduce(session: Session, user_id: UUID, name: str) -> None:
    """Note the name of a first-time reviewer. One that is known stays: a token may be older than the last renaming."""
    session.execute(insert(Reviewer).values(user_id=user_id, name=name).on_conflict_do_nothing())


def rename(session: Session, user_id: UUID, name: str) -> None:
    """Note a user's new name, also of one who has not reviewed yet: their token may still say the old one."""
    statement = insert(Reviewer).values(user_id=user_id, name=name)
    renamed = statement.on_conflict_do_update(
        index_elements=[Reviewer.user_id], set_={"name": name}, where=Reviewer.name != name
    )
    if session.scalar(renamed.returning(Reviewer.user_id)):
        shown = update(Review).where(Review.user_id == user_id).values(version=Review.version + 1)
        session.execute(shown.execution_options(synchronize_session=False))


def erase(session: Session, user_id: UUID) -> None:
    """Forget a person: reviews (deleted ones too), votes, purchases and name."""
    votes.erase(session, user_id)
    gone = session.execute(
        delete(Review).where(Review.user_id == user_id).returning(Review.book_id, Review.rating, Review.deleted_at)
    ).all()
    # In one order of books, so that two erasures at once cannot wait for each other's ratings.
    for book_id, rating, deleted_at in sorted(gone):
        if deleted_at is None:
            ratings.shift(session, book_id, lost=rating)
    session.execute(delete(Purchase).where(Purchase.user_id == user_id))
    session.execute(delete(Reviewer).where(Reviewer.user_id == user_id))
