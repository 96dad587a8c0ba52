"""Reviews as they are shown: rows read without objects, in the orders that an index can give."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from common.errors import NotFound
from common.pagination import Sort
from review_service.models import Review, Reviewer

SortName = Literal["newest", "helpful", "rating"]

_columns = Review.__table__.c
_SHOWN: Select[Any] = (
    select(
        _columns.id,
        _columns.book_id,
        _columns.user_id,
        Reviewer.__table__.c.name,
        _columns.rating,
        _columns.title,
        _columns.body,
        _columns.verified_purchase,
        _columns.helpful_count,
        _columns.created_at,
        _columns.updated_at,
        _columns.version,
    )
    .join_from(Review.__table__, Reviewer.__table__)
    .where(_columns.deleted_at.is_(None))
)
_ID = Sort(_columns.id, "id", descending=True)
_ORDERS: dict[SortName, Sort] = {
    "newest": Sort(_columns.created_at, "newest", descending=True),
    "helpful": Sort(_columns.helpful_count, "helpful", descending=True),
    "rating": Sort(_columns.rating, "rating", descending=True),
}


def statement(*, book_id: UUID | None = None, user_id: UUID | None = None, rating: int | None = None) -> Select[Any]:
    """The visible reviews, filtered by what is given."""
    wanted = {"book_id": book_id, "user_id": user_id, "rating": rating}
    return _SHOWN.where(*(_columns[name] == value for name, value in wanted.items() if value is not None))


def order(name: SortName) -> list[Sort]:
    """The latest, the most helpful or the best rated first; the latest of equals first."""
    return [_ORDERS[name], _ID]


def find(session: Session, id: UUID) -> Row[Any]:
    """Raises NotFound."""
    row = session.execute(_SHOWN.where(_columns.id == id)).one_or_none()
    if row is None:
        raise NotFound
    return row


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
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
