"""Books like a book, and books like what somebody writes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Blueprint
from pydantic import Field, StringConstraints

from catalog_service.api.books import is_staff
from catalog_service.api.schemas import Book
from catalog_service.domain import similar, views
from catalog_service.domain.similar import Found
from common.api import Request, Response, accepts, known_as, returns
from common.auth import public
from common.caching import shared
from common.db import session

api = Blueprint("similar", __name__, url_prefix="/api/v1/books")

MOST = 20


class SimilarQuery(Request):
    limit: int = Field(10, ge=1, le=MOST)


class LikeQuery(SimilarQuery):
    q: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class SimilarBooks(Response):
    items: list[Book]
    basis: Literal["text", "same_series", "same_author", "same_genre", "none"] = Field(
        description="What the likeness rests on: the words that describe the books (authors, genres and series among "
        "them), or, where nothing is known of these yet, the same series, author or genre; `none` comes with no items."
    )


class LikeBooks(Response):
    items: list[Book]
    basis: Literal["text", "search", "none"] = Field(
        description="`text`: books that share the weightiest words, then what is like the first of them; `search`: "
        "what the search finds, since nothing has been learnt of these words yet; `none` comes with no items."
    )


@api.get("/like")
@public
@shared(but_for_tokens=True)
@accepts(query=LikeQuery)
@returns(LikeBooks)
@known_as("findBooksLike")
def find_like(query: LikeQuery) -> dict[str, Any]:
    """Find a book like … : the books nearest to a text, which may be a title, a theme or a few sentences."""
    return _answer(similar.to_text(session, query.q, limit=query.limit))


@api.get("/<reference>/similar")
@public
@shared(but_for_tokens=True)
@accepts(query=SimilarQuery)
@returns(SimilarBooks)
@known_as("listSimilarBooks")
def list_similar(reference: str, query: SimilarQuery) -> dict[str, Any]:
    """Books like the one with this id or ISBN, the nearest first."""
    return _answer(similar.to_book(session, reference, staff=is_staff(), limit=query.limit))


def _answer(found: Found) -> dict[str, Any]:
    staff = is_staff()
    return {"items": [views.document(row, staff=staff) for row in found.rows], "basis": found.basis}
