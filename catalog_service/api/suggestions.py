"""Suggestions: readers send them, the staff decide."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from flask import Blueprint
from pydantic import Field, StringConstraints

from catalog_service.config import CatalogConfig
from catalog_service.domain import audit, fields, suggestions
from catalog_service.models import Suggestion as SuggestionRow
from common.api import Money, Page, PageQuery, Request, Response, accepts, known_as, returns
from common.app import config
from common.auth import current_user, requires, requires_user
from common.db import session
from common.pagination import Sort, paginate

api = Blueprint("suggestions", __name__, url_prefix="/api/v1")

Status = Literal["PENDING", "APPROVED", "REJECTED"]
_ID = SuggestionRow.__table__.c.id


class SuggestionBody(Request):
    title: fields.Title
    author: fields.Name
    isbn: fields.Isbn | None = None
    note: Annotated[str, StringConstraints(max_length=2000)] | None = None


class QueueQuery(PageQuery):
    status: Status | None = None


class ApproveBody(Request):
    price: Money | None = Field(None, description="Of the draft, which needs one before it goes on sale.")


class RejectBody(Request):
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Suggestion(Response):
    id: UUID
    title: str
    author: str
    isbn: str | None
    note: str | None
    status: Status
    reason: str | None = Field(description="Why it was rejected.")
    book_id: UUID | None = Field(description="The book that was made of it.")
    created_at: datetime
    decided_at: datetime | None


class QueuedSuggestion(Suggestion):
    user_id: UUID
    suggested_by: str | None = Field(description="The name of who suggested it, once it is known here.")


@api.post("/suggestions")
@requires_user("suggestions:write")
@accepts(body=SuggestionBody)
@returns(Suggestion, status=201)
def suggest_book(body: SuggestionBody) -> dict[str, Any]:
    """Suggest a book that the shop should have."""
    id = suggestions.submit(session, current_user().user_id, **body.model_dump())
    return _own(suggestions.by_id(session, id))


@api.get("/suggestions/mine")
@requires_user("suggestions:read")
@accepts(query=PageQuery)
@returns(Page[Suggestion])
@known_as("listMySuggestions")
def list_mine(query: PageQuery) -> dict[str, Any]:
    """One's own suggestions, the latest first."""
    mine = suggestions.listing().where(SuggestionRow.user_id == current_user().user_id)
    return paginate(session, mine, by=[Sort(_ID, "id", descending=True)], query=query, row=_own)


@api.get("/admin/suggestions")
@requires("books:write")
@accepts(query=QueueQuery)
@returns(Page[QueuedSuggestion])
def list_suggestions(query: QueueQuery) -> dict[str, Any]:
    """All suggestions, the oldest first."""
    found = suggestions.listing()
    if query.status:
        found = found.where(SuggestionRow.status == query.status)
    return paginate(session, found, by=[Sort(_ID, "id")], query=query, row=_queued)


@api.post("/admin/suggestions/<uuid:id>/approve")
@requires("books:write")
@accepts(body=ApproveBody, body_required=False)
@returns(QueuedSuggestion)
def approve_suggestion(id: UUID, body: ApproveBody) -> dict[str, Any]:
    """Make a draft of it, which is not on sale yet, and have the reader told."""
    currency = cast(CatalogConfig, config).currency
    book_id = suggestions.approve(session, id, price=body.price, currency=currency)
    after = {"status": "APPROVED", "book_id": str(book_id)}
    audit.acted(session, current_user().subject, "suggestion.approved", id, after=after)
    return _queued(suggestions.by_id(session, id))


@api.post("/admin/suggestions/<uuid:id>/reject")
@requires("books:write")
@accepts(body=RejectBody)
@returns(QueuedSuggestion)
def reject_suggestion(id: UUID, body: RejectBody) -> dict[str, Any]:
    """Say why not, and have the reader told."""
    suggestions.reject(session, id, body.reason)
    after = {"status": "REJECTED"}
    audit.acted(session, current_user().subject, "suggestion.rejected", id, after=after, reason=body.reason)
    return _queued(suggestions.by_id(session, id))


def _own(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Suggestion.model_fields}


def _queued(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in QueuedSuggestion.model_fields}
