"""Reviews: who may write one, and what becomes of the book's rating."""

from __future__ import annotations

from typing import TypedDict
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from common.errors import Conflict, Forbidden, NotFound
from review_service.domain import erasures, purchases, ratings, reviewers
from review_service.models import NOT_DELETED, Review


class PurchaseRequired(Forbidden):
    code = "purchase_required"


class AlreadyReviewed(Conflict):
    code = "already_reviewed"


class AccountErased(Forbidden):
    code = "account_erased"


class Content(TypedDict, total=False):
    rating: int
    title: str | None
    body: str | None
    contains_spoiler: bool


def create(
    session: Session, *, book_id: UUID, user_id: UUID, name: str, content: Content, require_purchase: bool
) -> UUID:
    """Write a review and count its rating. Raises PurchaseRequired, AlreadyReviewed or AccountErased.

    Who deletes a hidden review and writes another does not get round the staff by it: that one is hidden too.
    """
    if erasures.is_erased(session, user_id):
        raise AccountErased("This account was erased.")
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
    if not _stay_hidden(session, id, book_id, user_id):
        ratings.shift(session, book_id, gained=content["rating"])
    return id


def _stay_hidden(session: Session, id: UUID, book_id: UUID, user_id: UUID) -> bool:
    of_writer = (Review.book_id == book_id, Review.user_id == user_id, Review.id != id)
    earlier = session.scalar(select(Review).where(*of_writer).order_by(Review.deleted_at.desc()).limit(1))
    if earlier is None or earlier.hidden_by is None or earlier.hidden_reason is None:
        return False
    session.get_one(Review, id).hide(earlier.hidden_by, earlier.hidden_reason)
    return True


def to_change(session: Session, id: UUID) -> Review:
    """The review as it now is, hidden or not, locked. Raises NotFound, also for a deleted one."""
    return _locked(session, Review.id == id, Review.deleted_at.is_(None))


def _locked(session: Session, *which: ColumnElement[bool]) -> Review:
    statement = select(Review).where(*which).with_for_update()
    review = session.scalar(statement.execution_options(populate_existing=True))
    if review is None:
        raise NotFound
    return review


def to_restore(session: Session, id: UUID) -> Review:
    """As `to_change`, and what the staff deleted. Raises NotFound for what its writer did not want to be seen."""
    there = or_(Review.deleted_at.is_(None), Review.deleted_by != Review.user_id)
    return _locked(session, Review.id == id, there)


def to_judge(session: Session, id: UUID) -> Review:
    """As `to_change`, for those who vote for it or report it. Raises NotFound for a hidden one too."""
    review = to_change(session, id)
    if review.hidden_at is not None:
        raise NotFound
    return review


def change(session: Session, review: Review, content: Content) -> None:
    """Take over the given fields of a locked review; the rating follows."""
    rated = review.rating
    if review.rewrite(content) and review.is_counted:
        session.flush()
        ratings.shift(session, review.book_id, lost=rated, gained=review.rating)


def delete(session: Session, review: Review, by: UUID) -> None:
    """Take a locked review out of lists, ratings and counts."""
    was_counted = review.is_counted
    review.delete(by)
    session.flush()
    if was_counted:
        ratings.shift(session, review.book_id, lost=review.rating)


def hide(session: Session, review: Review, by: UUID, reason: str) -> None:
    """Take a locked review out of everybody's sight but its writer's and the staff's."""
    review.hide(by, reason)
    session.flush()
    ratings.shift(session, review.book_id, lost=review.rating)


def show(session: Session, review: Review) -> None:
    """Undo what the staff did to a locked review. Raises AlreadyReviewed when it was deleted and written anew since."""
    try:
        with session.begin_nested():
            review.show()
    except IntegrityError:
        raise AlreadyReviewed("Its writer has reviewed the book again since.") from None
    ratings.shift(session, review.book_id, gained=review.rating)


def verify(session: Session, user_id: UUID | None = None) -> None:
    """What this user, or anybody, wrote of a book before buying it is verified from now on.

    Deleted reviews too: the staff may restore them.
    """
    unverified = update(Review).where(
        Review.verified_purchase.is_(False), purchases.bought(Review.user_id, Review.book_id)
    )
    if user_id is not None:
        unverified = unverified.where(Review.user_id == user_id)
    session.execute(unverified.values(verified_purchase=True).execution_options(synchronize_session=False))
