"""Reports: a reader's word to the staff about a review, one of each user for each review, ever."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import utcnow
from review_service.domain.votes import OwnReview
from review_service.models import Review, ReviewReport


def report(session: Session, review: Review, user_id: UUID, reason: str | None) -> None:
    """Have the staff look at a locked review; to report it again changes nothing. Raises OwnReview."""
    if review.user_id == user_id:
        raise OwnReview("Change or delete your own review instead.")
    told = insert(ReviewReport).values(review_id=review.id, user_id=user_id, reason=reason).on_conflict_do_nothing()
    if session.scalar(told.returning(ReviewReport.id)):
        review.report_count += 1


def close(session: Session, review: Review) -> bool:
    """The staff have decided on a locked review; returns whether any report was open."""
    was_open = review.report_count > 0
    if was_open:
        still_open = (ReviewReport.review_id == review.id, ReviewReport.closed_at.is_(None))
        session.execute(
            update(ReviewReport)
            .where(*still_open)
            .values(closed_at=utcnow())
            .execution_options(synchronize_session=False)
        )
        review.report_count = 0
    return was_open


def erase(session: Session, user_id: UUID) -> None:
    """Forget what a user has reported. The reviews are locked already."""
    gone = delete(ReviewReport).where(ReviewReport.user_id == user_id)
    closed = session.execute(gone.returning(ReviewReport.review_id, ReviewReport.closed_at)).all()
    still_open = [review_id for review_id, closed_at in closed if closed_at is None]
    session.execute(
        update(Review)
        .where(Review.id.in_(still_open))
        .values(report_count=Review.report_count - 1)
        .execution_options(synchronize_session=False)
    )
