"""Reviews: who may write one, and what becomes of the book's rating."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypedDict
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.errors import Conflict, Forbidden, NotFound
from review_service.domain import purchases, ratings, reviewers
from review_service.models import NOT_DELETED, Review


class PurchaseRequired(Forbidden):
    code = "purchase_required"


class AlreadyReviewed(Conflict):
    code = "already_reviewed"


class Content(TypedDict, total=False):
    rating: int
    title: str | None
    body: str | None


def create(
    session: Session, *, book_id: UUID, user_id: UUID, name: str, content: Content, require_purchase: bool
) -> UUID:
    """Write a review and count its rating. Raises PurchaseRequired or AlreadyReviewed."""
    verified = purchases.has_bought(session, user_id, book_id)
    if require_purchase and not verified:
        raise PurchaseRequired("Only who has bought a book may review it.")
    reviewers.introduce(session, user_id, name)
    statement = (
        insert(Review)
        .values(book_id=book_id, user_id=user_id, verified_purchase=verified, **content)
        .on_conflict_do_nothing(index_elements=["book_id", "user_id"], index_where=NOT_DELETED)
    )
    id = session.scalar(statement.returning(Review.id))
    if id is None:
        raise AlreadyReviewed("You have reviewed this book already; change that review instead.")
    ratings.shift(session, book_id, gained=content["rating"])
    return id


def to_change(session: Session, id: UUID) -> Review:
    """The review as it now is, locked. Raises NotFound, also for a deleted one."""
    statement = select(Review).where(Review.id == id, Review.deleted_at.is_(None)).with_for_update()
    review = session.scalar(statement.execution_options(populate_existing=True))
    if review is None:
        raise NotFound
    return review


def change(session: Session, review: Review, content: Content) -> None:
    """Take over the given fields of a locked review; the rating follows."""
    rated = review.rating
    if review.rewrite(content):
        session.flush()
        ratings.shift(session, review.book_id, lost=rated, gained=review.rating)


def delete(session: Session, review: Review, by: UUID) -> None:
    """Take a locked review out of lists, ratings and counts."""
    review.delete(by)
    session.flush()
    ratings.shift(session, review.book_id, lost=review.rating)


def verify(session: Session, user_id: UUID, books: Collection[UUID]) -> None:
    """The user has bought these books: what they wrote of them before is verified from now on."""
    session.execute(
        update(Review)
        .where(
            Review.user_id == user_id,
            Review.book_id.in_(books),
            Review.deleted_at.is_(None),
            Review.verified_purchase.is_(False),
        )
        .values(verified_purchase=True, version=Review.version + 1)
        .execution_options(synchronize_session=False)
    )
