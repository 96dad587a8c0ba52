"""What the catalog holds about a person: contact, suggestions, uploads, and what they did as staff. And its end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from catalog_service.domain import suggestions, uploads
from catalog_service.models import Contact, ImportJob, StockMovement, Suggestion, Upload


def data(session: Session, user_id: UUID) -> dict[str, Any]:
    columns = StockMovement.__table__.c
    told = (columns.book_id, columns.kind, columns.quantity, columns.reason, columns.at)
    return {
        "contact": _rows(session, select(Contact.name, Contact.email).where(Contact.user_id == user_id)),
        "suggestions": _rows(session, _suggestions(user_id)),
        "stock_movements": _rows(session, select(*told).where(columns.actor == str(user_id)).order_by(columns.id)),
        "imports": _rows(session, _imports(user_id)),
        "uploads": _rows(session, _uploads(user_id)),
    }


def erase(session: Session, user_id: UUID) -> None:
    """Forget a person: uploads go with their files; the ledger keeps its entries, whose actor is but an id."""
    uploads.erase(session, user_id)
    suggestions.erase(session, user_id)
    session.execute(delete(Contact).where(Contact.user_id == user_id))


def _imports(user_id: UUID) -> Any:
    jobs = ImportJob.__table__.c
    sent = select(jobs.id, jobs.format, jobs.filename, jobs.dry_run, jobs.status, jobs.created_at)
    return sent.where(jobs.actor == str(user_id)).order_by(jobs.id)


def _uploads(user_id: UUID) -> Any:
    table = Upload.__table__
    told = (column for column in table.c if column.name not in ("user_id", "file"))
    return select(*told).where(table.c.user_id == user_id).order_by(table.c.id)


def _suggestions(user_id: UUID) -> Any:
    columns = Suggestion.__table__.c
    names = ("title", "author", "isbn", "note", "status", "reason", "book_id", "created_at", "decided_at")
    mine = columns.user_id == user_id
    return select(*(columns[name] for name in names)).where(mine).order_by(columns.id)


def _rows(session: Session, statement: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(statement).mappings()]
