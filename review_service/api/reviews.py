"""Reviews: lists, and what their writers do with them."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from flask import Blueprint, current_app
from sqlalchemy import Row

from common.api import Page, accepts, returns
from common.app import config
from common.auth import Principal, current_user, principal, public, requires_user, requires_user_with_any
from common.caching import shared
from common.conditional import etag, not_modified, require_match
from common.db import current_database, session, transaction
from common.errors import DomainError, Forbidden, NotFound
from common.pagination import paginate
from review_service.api.schemas import (
    BookReviewQuery,
    BookReviews,
    NewReview,
    Review,
    ReviewContent,
    ReviewPatch,
    ReviewQuery,
)
from review_service.config import ReviewConfig
from review_service.domain import moderation, purchases, ratings, reviewers, reviews, views
from review_service.domain.reviews import Content
from review_service.models import Review as ReviewRow
from review_service.peers import Catalog, Orders

api = Blueprint("reviews", __name__, url_prefix="/api/v1")


@api.get("/reviews")
@public
@shared(but_for_tokens=True)
@accepts(query=ReviewQuery)
@returns(Page[Review])
def list_reviews(query: ReviewQuery) -> dict[str, Any]:
    """Reviews of all books, or of one; of all readers, or of one."""
    return _page(query, query.book_id)


@api.get("/books/<uuid:id>/reviews")
@public
@shared(but_for_tokens=True)
@accepts(query=BookReviewQuery)
@returns(BookReviews)
def list_book_reviews(id: UUID, query: BookReviewQuery) -> dict[str, Any]:
    """A book's reviews, with its rating; none for a book that nobody has reviewed."""
    return _page(query, id) | ratings.summary(session, id)


@api.get("/reviews/<uuid:id>")
@public
@shared(but_for_tokens=True)
@returns(Review)
def get_review(id: UUID) -> tuple[Any, ...]:
    """One review."""
    bearer = principal()
    row = views.find(session, id, viewer=_viewer(), is_staff=bearer is not None and bearer.has("reviews:moderate"))
    headers = _headers(row)
    if not_modified(views.entity_tag(row)):
        return "", 304, headers
    return views.document(row), 200, headers


@api.post("/reviews")
@requires_user("reviews:write")
@accepts(body=NewReview)
@returns(Review, status=201)
def create_review(body: NewReview) -> tuple[Any, ...]:
    """Review a book that one has bought."""
    return _create(body.book_id, body)


@api.post("/books/<uuid:id>/reviews")
@requires_user("reviews:write")
@accepts(body=ReviewContent)
@returns(Review, status=201)
def create_book_review(id: UUID, body: ReviewContent) -> tuple[Any, ...]:
    """Review this book, which one has bought."""
    return _create(id, body)


@api.put("/reviews/<uuid:id>")
@requires_user("reviews:write")
@accepts(body=ReviewContent)
@returns(Review)
def replace_review(id: UUID, body: ReviewContent) -> tuple[Any, ...]:
    """Write one's review anew."""
    reviews.change(session, _own(id), cast(Content, body.model_dump()))
    return _shown(id)


@api.patch("/reviews/<uuid:id>")
@requires_user("reviews:write")
@accepts(body=ReviewPatch)
@returns(Review)
def change_review(id: UUID, body: ReviewPatch) -> tuple[Any, ...]:
    """Change some fields of one's review."""
    reviews.change(session, _own(id), cast(Content, body.model_dump(exclude_unset=True)))
    return _shown(id)


@api.delete("/reviews/<uuid:id>")
@requires_user_with_any("reviews:write", "reviews:moderate")
@returns(None, status=204)
def delete_review(id: UUID) -> tuple[str, int]:
    """Take a review back: one's own (reviews:write), or anybody's (reviews:moderate)."""
    bearer = current_user()
    review = reviews.to_change(session, id)
    if _is_writer(bearer, review):
        require_match(review.version)
        reviews.delete(session, review, by=bearer.user_id)
    elif bearer.has("reviews:moderate"):
        _delete_as_staff(review)
    else:
        raise _not_theirs(review, "Only its writer or the staff may delete a review.")
    return "", 204


@requires_user("reviews:moderate")
def _delete_as_staff(review: ReviewRow) -> None:
    """Guarded once more by the scope itself, which may ask for a second factor where one's own review does not."""
    require_match(review.version)
    moderation.delete(session, review, actor=current_user().user_id)


def _page(query: BookReviewQuery, book_id: UUID | None) -> dict[str, Any]:
    return paginate(
        session,
        views.statement(viewer=_viewer(), book_id=book_id, user_id=query.user_id, rating=query.rating),
        by=views.order(query.sort),
        query=query,
        row=views.document,
    )


def _create(book_id: UUID, body: ReviewContent) -> tuple[Any, ...]:
    bearer = current_user()
    settings = cast(ReviewConfig, config)
    if settings.require_purchase:
        _learn_purchases(bearer.user_id, book_id)
    else:
        cast(Catalog, current_app.extensions["catalog"]).require_book(book_id)
    id = reviews.create(
        session,
        book_id=book_id,
        user_id=bearer.user_id,
        name=bearer.username or reviewers.ANONYMOUS,
        content=cast(Content, body.model_dump(exclude={"book_id"})),
        require_purchase=settings.require_purchase,
    )
    document, _, headers = _shown(id)
    return document, 201, headers | {"Location": f"/api/v1/reviews/{id}"}


def _learn_purchases(user_id: UUID, book_id: UUID) -> None:
    """Ask the order service when no purchase is known here: its event may still be on the way.

    The request's own transaction begins only afterwards, so that nothing is held while another service answers.
    """
    with current_database().read() as reader:
        if purchases.has_bought(reader, user_id, book_id):
            return
        asked_at = purchases.moment(reader)
    found = cast(Orders, current_app.extensions["orders"]).purchases_of(user_id, book_id)
    with transaction() as own:
        purchases.learn(own, found, asked_at)


def _own(id: UUID) -> ReviewRow:
    """The bearer's review, locked, if it is still what If-Match names. Raises Forbidden for somebody else's."""
    review = reviews.to_change(session, id)
    if not _is_writer(current_user(), review):
        raise _not_theirs(review, "Only its writer may change a review.")
    require_match(review.version)
    return review


def _not_theirs(review: ReviewRow, detail: str) -> DomainError:
    """To who may not see a hidden review it is not there."""
    return Forbidden(detail) if review.hidden_at is None else NotFound()


def _viewer() -> UUID | None:
    """Whose own hidden reviews are shown."""
    bearer = principal()
    return bearer.user_id if bearer and bearer.is_user else None


def _is_writer(bearer: Principal, review: ReviewRow) -> bool:
    return review.user_id == bearer.user_id and bearer.has("reviews:write")


def _shown(id: UUID) -> tuple[Any, ...]:
    row = views.find(session, id, viewer=_viewer())
    return views.document(row), 200, _headers(row)


def _headers(row: Row[Any]) -> dict[str, str]:
    return {"ETag": etag(views.entity_tag(row)), "Cache-Control": "no-cache"}
