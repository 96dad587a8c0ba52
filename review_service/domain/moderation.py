"""What the staff did to reviews, recorded in the transaction in which it was done."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.events.administration import ReviewsAdminActed
from common.ids import new_id
from common.telemetry import request_id
from review_service.models import Review


def note_deletion(session: Session, review: Review, *, actor: UUID) -> None:
    """Somebody else's review was taken away; what it said goes into the audit trail."""
    event = ReviewsAdminActed(
        id=new_id(),
        actor_id=str(actor),
        action="review.deleted",
        resource="review",
        resource_id=str(review.id),
        at=utcnow(),
        before={"book_id": str(review.book_id), "rating": review.rating, "title": review.title, "body": review.body},
        request_id=request_id(),
    )
    outbox.record(session, event)
