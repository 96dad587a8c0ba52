"""Reports of reviews that the staff should look at."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint

from common.api import accepts, known_as, returns
from common.auth import current_user, requires_user
from common.db import session
from review_service.api.schemas import NewReport
from review_service.domain import reports, reviews

api = Blueprint("reports", __name__, url_prefix="/api/v1/reviews/<uuid:id>/report")


@api.post("")
@requires_user("reviews:write")
@accepts(body=NewReport, body_required=False)
@returns(None, status=204)
@known_as("reportReview")
def report(id: UUID, body: NewReport) -> tuple[str, int]:
    """Report a review to the staff; to do it twice is to do it once."""
    reports.report(session, reviews.to_judge(session, id), current_user().user_id, body.reason)
    return "", 204
