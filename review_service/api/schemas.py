"""What reviews look like in requests and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from common.api import Page, PageQuery, Request, Response
from review_service.domain.moderation import Outcome
from review_service.domain.queue import Status
from review_service.domain.views import SortName


def _null_when_empty(text: str | None) -> str | None:
    return text or None


def _omit_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _omittable() -> Any:
    """A member that may be left out and yet must not be null."""
    return Field(default=None, json_schema_extra=_omit_default)


Stars = Annotated[int, Field(ge=1, le=5, strict=True)]
Title = Annotated[Annotated[str, StringConstraints(max_length=200)] | None, AfterValidator(_null_when_empty)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Body = Annotated[Annotated[str, StringConstraints(max_length=10_000)] | None, AfterValidator(_null_when_empty)]


class ReviewContent(Request):
    """A whole review: what is left out is empty. `contains_spoiler` has it folded where it is shown."""

    rating: Stars
    title: Title = None
    body: Body = None
    contains_spoiler: StrictBool = False


class NewReview(ReviewContent):
    book_id: UUID


class ReviewPatch(Request):
    """Some fields of a review: what is left out stays, null empties (RFC 7396)."""

    rating: Stars = _omittable()
    title: Title = None
    body: Body = None
    contains_spoiler: StrictBool = _omittable()


class BookReviewQuery(PageQuery):
    user_id: UUID | None = None
    rating: int | None = Field(None, ge=1, le=5)
    sort: SortName = "newest"


class ReviewQuery(BookReviewQuery):
    book_id: UUID | None = None


class NewReport(Request):
    reason: Reason | None = None


class QueueQuery(PageQuery):
    """`reported` are those with open reports. Deleted ones are only shown with their `status`."""

    status: Status | None = None
    reported: bool | None = None
    hidden: bool | None = None
    book_id: UUID | None = None
    user_id: UUID | None = None
    rating: int | None = Field(None, ge=1, le=5)


class AlertQuery(PageQuery):
    book_id: UUID | None = None


class HideBody(Request):
    reason: Reason


class RestoreBody(Request):
    reason: Reason | None = None


class ModerationPatch(Request):
    contains_spoiler: StrictBool


class BulkDeletion(Request):
    ids: Annotated[list[UUID], Field(min_length=1, max_length=100)]
    reason: Reason


class Author(Response):
    id: UUID
    name: str


class Review(Response):
    """One with `contains_spoiler` is given whole: clients fold its text until a reader asks for it. Only its writer
    and the staff ever see `is_hidden` true; the reason is the staff's."""

    id: UUID
    book_id: UUID
    user: Author
    rating: int
    title: str | None
    body: str | None
    verified_purchase: bool
    helpful_count: int
    contains_spoiler: bool
    is_hidden: bool
    hidden_reason: str | None
    created_at: datetime
    updated_at: datetime


class ModeratedReview(Review):
    """`report_count` counts open reports; once `spoiler_settled`, the writer's word on spoilers is not taken."""

    status: Status
    report_count: int
    spoiler_settled: bool
    hidden_at: datetime | None
    hidden_by: UUID | None
    deleted_at: datetime | None
    deleted_by: UUID | None


class Report(Response):
    """Closed when the staff decided on the review."""

    id: UUID
    user_id: UUID
    reason: str | None
    created_at: datetime
    closed_at: datetime | None


class Alert(Response):
    """A burst of ratings of one or two stars, from the first of them to the last."""

    id: UUID
    book_id: UUID
    low_ratings: int
    started_at: datetime
    last_at: datetime


class Deletion(Response):
    id: UUID
    outcome: Outcome


class BulkResult(Response):
    results: list[Deletion]


class Histogram(Response):
    """How many reviews give how many stars."""

    one: int = Field(alias="1")
    two: int = Field(alias="2")
    three: int = Field(alias="3")
    four: int = Field(alias="4")
    five: int = Field(alias="5")


class BookReviews(Page[Review]):
    """A page of a book's reviews, and its rating over all of them, whatever the page is filtered by."""

    average: float | None
    count: int
    histogram: Histogram
