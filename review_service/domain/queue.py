"""Reviews as the staff see them: hidden and deleted ones too, those that were reported most first."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy.orm import Session

from common.errors import NotFound
from common.pagination import Sort
from review_service.domain import views
from review_service.models import RatingAlert, Review, ReviewReport

Status = Literal["visible", "hidden", "deleted"]

_columns = Review.__table__.c
_MODERATED = views.EVERY.add_columns(
    _columns.report_count, _columns.spoiler_settled, _columns.hidden_by, _columns.deleted_at, _columns.deleted_by
)
_STATUS: dict[Status, tuple[ColumnElement[bool], ...]] = {
    "visible": (_columns.deleted_at.is_(None), _columns.hidden_at.is_(None)),
    "hidden": (_columns.deleted_at.is_(None), _columns.hidden_at.is_not(None)),
    "deleted": (_columns.deleted_at.is_not(None),),
}
_reports = ReviewReport.__table__.c
_alerts = RatingAlert.__table__.c

MOST_REPORTED = (
    Sort(_columns.report_count, "reports", descending=True),
    Sort(_columns.id, "id", descending=True),
)
LATEST_REPORT = (Sort(_reports.id, "id", descending=True),)
LATEST_ALERT = (Sort(_alerts.last_at, "last", descending=True), Sort(_alerts.id, "id", descending=True))


def statement(
    *,
    status: Status | None = None,
    reported: bool | None = None,
    hidden: bool | None = None,
    **wanted: UUID | int | None,
) -> Select[Any]:
    """Reviews of this status (any but deleted, by default), filtered by what is given of `wanted`'s columns."""
    found = _MODERATED.where(*(_STATUS[status] if status else (_columns.deleted_at.is_(None),)))
    if reported is not None:
        found = found.where(_columns.report_count > 0 if reported else _columns.report_count == 0)
    if hidden is not None:
        found = found.where(_columns.hidden_at.is_not(None) if hidden else _columns.hidden_at.is_(None))
    return found.where(*(_columns[name] == value for name, value in wanted.items() if value is not None))


def find(session: Session, id: UUID) -> Row[Any]:
    """Deleted ones too. Raises NotFound."""
    row = session.execute(_MODERATED.where(_columns.id == id)).one_or_none()
    if row is None:
        raise NotFound
    return row


def reports(review_id: UUID) -> Select[Any]:
    """All that was reported of a review."""
    return select(*_reports).where(_reports.review_id == review_id)


def alerts(book_id: UUID | None) -> Select[Any]:
    """Bursts of low ratings, of one book or of all."""
    found = select(*_alerts)
    return found.where(_alerts.book_id == book_id) if book_id else found


def document(row: Row[Any]) -> dict[str, Any]:
    return views.document(row) | {
        "status": "deleted" if row.deleted_at else "hidden" if row.hidden_at else "visible",
        "report_count": row.report_count,
        "spoiler_settled": row.spoiler_settled,
        "hidden_at": row.hidden_at,
        "hidden_by": row.hidden_by,
        "deleted_at": row.deleted_at,
        "deleted_by": row.deleted_by,
    }


def report_document(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", "user_id", "reason", "created_at", "closed_at")}


def alert_document(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", "book_id", "low_ratings", "started_at", "last_at")}
