"""Helpful votes: one of each user for each review, never for one's own."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.errors import Forbidden
from review_service.models import HelpfulVote, Review


class OwnReview(Forbidden):
    code = "own_review"


def vote(session: Session, review: Review, user_id: UUID) -> None:
    """Count the user's vote for a locked review, once however often it is given. Raises OwnReview."""
    if review.user_id == user_id:
        raise OwnReview("Your own review is for others to judge.")
    voted = insert(HelpfulVote).values(review_id=review.id, user_id=user_id).on_conflict_do_nothing()
    if session.scalar(voted.returning(HelpfulVote.review_id)):
        review.helpful_count += 1


def withdraw(session: Session, review: Review, user_id: UUID) -> None:
    """Take the user's vote for a locked review back, if there is one."""
    vote_of_user = (HelpfulVote.review_id == review.id, HelpfulVote.user_id == user_id)
    if session.scalar(delete(HelpfulVote).where(*vote_of_user).returning(HelpfulVote.review_id)):
        review.helpful_count -= 1


def erase(session: Session, user_id: UUID) -> None:
    """Take all votes of a user back. The reviews are locked already."""
    gone = delete(HelpfulVote).where(HelpfulVote.user_id == user_id)
    reviews = session.scalars(gone.returning(HelpfulVote.review_id)).all()
    session.execute(
        update(Review)
        .where(Review.id.in_(reviews))
        .values(helpful_count=Review.helpful_count - 1)
        .execution_options(synchronize_session=False)
    )
