"""What the staff do to reviews, recorded in the transaction in which it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from common import audit
from common.events.administration import ReviewsAdminActed
from review_service.domain import ratings, reports, reviews
from review_service.models import Review

Outcome = Literal["deleted", "not_found"]


def hide(session: Session, review: Review, *, actor: UUID, reason: str) -> None:
    """Take a locked review out of sight, ratings and counts, and close its reports.

    One that is hidden already stays as it is, with the first reason.
    """
    if review.hidden_at is not None:
        return
    reviews.hide(session, review, actor, reason)
    reports.close(session, review)
    _acted(session, review, "review.hidden", actor, before=_content(review), reason=reason)


def restore(session: Session, review: Review, *, actor: UUID, reason: str | None) -> None:
    """Judge a locked review to be all right: it is seen and counted again, and its reports are closed.

    Raises AlreadyReviewed when the staff had deleted it and its writer has written another since.
    """
    before = {"is_deleted": review.deleted_at is not None, "hidden_reason": review.hidden_reason}
    was_reported = reports.close(session, review)
    if not review.is_counted:
        reviews.show(session, review)
        _acted(session, review, "review.restored", actor, before=before, reason=reason)
    elif was_reported:
        _acted(session, review, "review.kept", actor, reason=reason)


def settle_spoiler(session: Session, review: Review, contains_spoiler: bool, *, actor: UUID) -> None:
    """Decide whether a locked review spoils; from now on its writer cannot."""
    before = {"contains_spoiler": review.contains_spoiler, "spoiler_settled": review.spoiler_settled}
    after = {"contains_spoiler": contains_spoiler, "spoiler_settled": True}
    if before != after:
        review.settle_spoiler(contains_spoiler)
        _acted(session, review, "review.spoiler_settled", actor, before=before, after=after)


def delete(session: Session, review: Review, *, actor: UUID, reason: str | None = None) -> None:
    """Take away somebody else's locked review; what it said goes into the audit trail."""
    reviews.delete(session, review, by=actor)
    reports.close(session, review)
    _acted(session, review, "review.deleted", actor, before=_content(review), reason=reason)


def delete_all(session: Session, ids: Sequence[UUID], *, actor: UUID, reason: str) -> dict[UUID, Outcome]:
    """Take away those of `ids` that are there, and say of each what became of it."""
    locked = select(Review).where(Review.id.in_(ids), Review.deleted_at.is_(None)).order_by(Review.id)
    found = session.scalars(locked.with_for_update().execution_options(populate_existing=True)).all()
    # In one order of books, as everybody who changes several ratings does, so that no two wait for each other.
    for review in sorted(found, key=ratings.lock_order):
        delete(session, review, actor=actor, reason=reason)
    deleted = {review.id for review in found}
    return {id: "deleted" if id in deleted else "not_found" for id in ids}


def _content(review: Review) -> dict[str, Any]:
    """With its writer, at whose end the audit trail forgets what they said."""
    said = {"rating": review.rating, "title": review.title, "body": review.body}
    return {"book_id": str(review.book_id), "user_id": str(review.user_id), **said}


def _acted(session: Session, review: Review, action: str, actor: UUID, **what: Any) -> None:
    audit.record(session, ReviewsAdminActed, str(actor), action, review.id, **what)
