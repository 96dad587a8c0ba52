"""Votes for reviews that helped."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint

from common.api import known_as, returns
from common.auth import current_user, requires_user
from common.db import session
from review_service.api.schemas import Review
from review_service.domain import reviews, views, votes

api = Blueprint("helpful", __name__, url_prefix="/api/v1/reviews/<uuid:id>/helpful")


@api.post("")
@requires_user("reviews:write")
@returns(Review)
@known_as("voteHelpful")
def vote(id: UUID) -> dict[str, Any]:
    """Say that a review helped; to say it twice is to say it once."""
    voter = current_user().user_id
    votes.vote(session, reviews.to_judge(session, id), voter)
    session.flush()
    return views.document(views.find(session, id, viewer=voter))


@api.delete("")
@requires_user("reviews:write")
@returns(None, status=204)
@known_as("withdrawHelpfulVote")
def withdraw(id: UUID) -> tuple[str, int]:
    """Take one's vote back."""
    votes.withdraw(session, reviews.to_judge(session, id), current_user().user_id)
    return "", 204
