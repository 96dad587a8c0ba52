"""Reviews as they are shown: rows read without objects, in the orders that an index can give."""

from __future__ import annotations

import hashlib
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Select, or_, select
from sqlalchemy.orm import Session

from common.errors import NotFound
from common.pagination import Sort
from review_service.models import Review, Reviewer

SortName = Literal["newest", "helpful", "rating"]

_columns = Review.__table__.c
EVERY: Select[Any] = select(
    _columns.id,
    _columns.book_id,
    _columns.user_id,
    _columns.rating,
    _columns.title,
    _columns.body,
    _columns.verified_purchase,
    _columns.helpful_count,
    _columns.contains_spoiler,
    _columns.created_at,
    _columns.updated_at,
    _columns.hidden_at,
    _columns.hidden_reason,
    _columns.version,
    Reviewer.__table__.c.name,
).join_from(Review.__table__, Reviewer.__table__)
_ID = Sort(_columns.id, "id", descending=True)
_NEWEST = Sort(_columns.created_at, "newest", descending=True)
_ORDERS: dict[SortName, list[Sort]] = {
    "newest": [_NEWEST, _ID],
    "helpful": [Sort(_columns.helpful_count, "helpful", descending=True), _ID],
    "rating": [Sort(_columns.rating, "rating", descending=True), _NEWEST, _ID],
}


def statement(
    *,
    viewer: UUID | None = None,
    book_id: UUID | None = None,
    user_id: UUID | None = None,
    rating: int | None = None,
) -> Select[Any]:
    """The reviews that `viewer` may see, filtered by what is given: the visible ones, and their own hidden ones."""
    wanted = {"book_id": book_id, "user_id": user_id, "rating": rating}
    visible = _columns.hidden_at.is_(None)
    seen = visible if viewer is None else or_(visible, _columns.user_id == viewer)
    given = (_columns[name] == value for name, value in wanted.items() if value is not None)
    return EVERY.where(_columns.deleted_at.is_(None), seen, *given)


def order(name: SortName) -> list[Sort]:
    """The latest, the most helpful or the best rated first; the latest of equals first."""
    return _ORDERS[name]


def find(session: Session, id: UUID, *, viewer: UUID | None, is_staff: bool = False) -> Row[Any]:
    """Raises NotFound, also for a hidden one that is not the viewer's, who is not of the staff."""
    row = session.execute(EVERY.where(_columns.id == id, _columns.deleted_at.is_(None))).one_or_none()
    if row is None or (row.hidden_at is not None and row.user_id != viewer and not is_staff):
        raise NotFound
    return row


def entity_tag(row: Row[Any]) -> str:
    """What changes with the answer: edits first, then votes, purchase and name, which are written to no version."""
    made_of_it = repr((row.helpful_count, row.verified_purchase, row.name))
    return f"{row.version}.{hashlib.sha256(made_of_it.encode()).hexdigest()[:10]}"


def document(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "book_id": row.book_id,
        "user": {"id": row.user_id, "name": row.name},
        "rating": row.rating,
        "title": row.title,
        "body": row.body,
        "verified_purchase": row.verified_purchase,
        "helpful_count": row.helpful_count,
        "contains_spoiler": row.contains_spoiler,
        "is_hidden": row.hidden_at is not None,
        "hidden_reason": row.hidden_reason,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
