"""What the staff see and do of all reviews."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint

from common.api import Page, PageQuery, accepts, known_as, returns
from common.auth import current_user, requires_user
from common.conditional import etag, require_match
from common.db import session
from common.pagination import paginate
from review_service.api.schemas import (
    Alert,
    AlertQuery,
    BulkDeletion,
    BulkResult,
    HideBody,
    ModeratedReview,
    ModerationPatch,
    QueueQuery,
    Report,
    RestoreBody,
)
from review_service.domain import moderation, queue, reviews, views
from review_service.models import Review as ReviewRow

api = Blueprint("moderation", __name__, url_prefix="/api/v1/admin/reviews")


@api.get("")
@requires_user("reviews:moderate")
@accepts(query=QueueQuery)
@returns(Page[ModeratedReview])
@known_as("listModerationQueue")
def list_queue(query: QueueQuery) -> dict[str, Any]:
    """All reviews, those with the most open reports first; deleted ones only when asked for."""
    found = queue.statement(
        status=query.status,
        reported=query.reported,
        hidden=query.hidden,
        book_id=query.book_id,
        user_id=query.user_id,
        rating=query.rating,
    )
    return paginate(session, found, by=queue.MOST_REPORTED, query=query, row=queue.document)


@api.get("/alerts")
@requires_user("reviews:moderate")
@accepts(query=AlertQuery)
@returns(Page[Alert])
@known_as("listReviewAlerts")
def list_alerts(query: AlertQuery) -> dict[str, Any]:
    """Books that got many low ratings in a short time, the latest first."""
    found = queue.alerts(query.book_id)
    return paginate(session, found, by=queue.LATEST_ALERT, query=query, row=queue.alert_document)


@api.get("/<uuid:id>")
@requires_user("reviews:moderate")
@returns(ModeratedReview)
@known_as("getModeratedReview")
def get_moderated(id: UUID) -> tuple[Any, ...]:
    """One review, hidden and deleted ones too."""
    return _shown(id)


@api.get("/<uuid:id>/reports")
@requires_user("reviews:moderate")
@accepts(query=PageQuery)
@returns(Page[Report])
@known_as("listReviewReports")
def list_reports(id: UUID, query: PageQuery) -> dict[str, Any]:
    """What readers reported of a review, the latest first."""
    queue.find(session, id)
    return paginate(session, queue.reports(id), by=queue.LATEST_REPORT, query=query, row=queue.report_document)


@api.patch("/<uuid:id>")
@requires_user("reviews:moderate")
@accepts(body=ModerationPatch)
@returns(ModeratedReview)
@known_as("settleSpoiler")
def settle_spoiler(id: UUID, body: ModerationPatch) -> tuple[Any, ...]:
    """Decide whether a review spoils; from then on its writer cannot."""
    moderation.settle_spoiler(session, _read(id), body.contains_spoiler, actor=current_user().user_id)
    return _shown(id)


@api.post("/<uuid:id>/hide")
@requires_user("reviews:moderate")
@accepts(body=HideBody)
@returns(ModeratedReview)
@known_as("hideReview")
def hide(id: UUID, body: HideBody) -> tuple[Any, ...]:
    """Take a review out of lists, ratings and counts; its writer still sees it, with the reason."""
    moderation.hide(session, _read(id), actor=current_user().user_id, reason=body.reason)
    return _shown(id)


@api.post("/<uuid:id>/restore")
@requires_user("reviews:moderate")
@accepts(body=RestoreBody, body_required=False)
@returns(ModeratedReview)
@known_as("restoreReview")
def restore(id: UUID, body: RestoreBody) -> tuple[Any, ...]:
    """Undo hiding, or deletion by the staff, or keep what was reported; its reports are closed."""
    review = reviews.to_restore(session, id)
    require_match(review.version)
    moderation.restore(session, review, actor=current_user().user_id, reason=body.reason)
    return _shown(id)


@api.post("/bulk-delete")
@requires_user("reviews:moderate")
@accepts(body=BulkDeletion)
@returns(BulkResult)
@known_as("bulkDeleteReviews")
def bulk_delete(body: BulkDeletion) -> dict[str, Any]:
    """Delete up to 100 reviews; the answer says of each what became of it."""
    outcomes = moderation.delete_all(session, body.ids, actor=current_user().user_id, reason=body.reason)
    return {"results": [{"id": id, "outcome": outcome} for id, outcome in outcomes.items()]}


def _read(id: UUID) -> ReviewRow:
    """The review, locked, if it is still what If-Match names."""
    review = reviews.to_change(session, id)
    require_match(review.version)
    return review


def _shown(id: UUID) -> tuple[Any, ...]:
    row = queue.find(session, id)
    return queue.document(row), 200, {"ETag": etag(views.entity_tag(row)), "Cache-Control": "no-cache"}
