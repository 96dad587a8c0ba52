"""What reviews look like in requests and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from common.api import Page, PageQuery, Request, Response
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
Body = Annotated[Annotated[str, StringConstraints(max_length=10_000)] | None, AfterValidator(_null_when_empty)]


class ReviewContent(Request):
    """A whole review: what is left out is empty."""

    rating: Stars
    title: Title = None
    body: Body = None


class NewReview(ReviewContent):
    book_id: UUID


class ReviewPatch(Request):
    """Some fields of a review: what is left out stays, null empties (RFC 7396)."""

    rating: Stars = _omittable()
    title: Title = None
    body: Body = None


class BookReviewQuery(PageQuery):
    user_id: UUID | None = None
    rating: int | None = Field(None, ge=1, le=5)
    sort: SortName = "newest"


class ReviewQuery(BookReviewQuery):
    book_id: UUID | None = None


class Author(Response):
    id: UUID
    name: str


class Review(Response):
    id: UUID
    book_id: UUID
    user: Author
    rating: int
    title: str | None
    body: str | None
    verified_purchase: bool
    helpful_count: int
    created_at: datetime
    updated_at: datetime


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
