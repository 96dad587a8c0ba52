"""All that the review service holds about a person. Its end is reviewers.erase."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from review_service.models import HelpfulVote, Purchase, Review, Reviewer, ReviewReport

_REVIEW = (
    *("id", "book_id", "rating", "title", "body", "contains_spoiler"),
    *("created_at", "updated_at", "deleted_at", "hidden_at", "hidden_reason"),
)
_HELD: dict[str, tuple[Any, tuple[str, ...]]] = {
    "names": (Reviewer, ("name",)),
    "reviews": (Review, _REVIEW),
    "helpful_votes": (HelpfulVote, ("review_id",)),
    "reports": (ReviewReport, ("review_id", "reason", "created_at")),
    "purchases": (Purchase, ("book_id", "order_id")),
}


def data(session: Session, user_id: UUID) -> dict[str, Any]:
    return {name: _rows(session, _of(user_id, *held)) for name, held in _HELD.items()}


def _of(user_id: UUID, model: Any, names: tuple[str, ...]) -> Select[Any]:
    columns = model.__table__.c
    return select(*(columns[name] for name in names)).where(columns.user_id == user_id).order_by(columns[names[0]])


def _rows(session: Session, statement: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(statement).mappings()]
