"""For the other services, to rebuild what they keep of reviews; the gateway never routes here."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from common.api import Page, PageQuery, Response, accepts, returns
from common.auth import requires
from common.db import session
from common.pagination import Sort, paginate
from review_service.domain import ratings
from review_service.models import BookRating

api = Blueprint("internal", __name__, url_prefix="/internal/ratings")


class RatingQuery(PageQuery):
    limit: int = Field(500, ge=1, le=1000)


class RatingOut(Response):
    """What BookRatingChanged tells, as it is now."""

    book_id: UUID
    version: int
    count: int
    average: Decimal | None


@api.get("")
@requires("replicas:read")
@accepts(query=RatingQuery)
@returns(Page[RatingOut])
def list_ratings(query: RatingQuery) -> dict[str, Any]:
    """Every book that was ever rated, also those whose reviews are gone."""
    by = [Sort(BookRating.__table__.c.book_id, "book_id")]
    return paginate(session, ratings.STATES, by=by, query=query, row=ratings.state)
