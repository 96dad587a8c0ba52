"""All that the catalog holds about a person: what they did to stock, as staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_service.models import StockMovement


def data(session: Session, user_id: UUID) -> dict[str, Any]:
    columns = StockMovement.__table__.c
    told = (columns.book_id, columns.kind, columns.quantity, columns.reason, columns.at)
    return {"stock_movements": _rows(session, select(*told).where(columns.actor == str(user_id)).order_by(columns.id))}


def _rows(session: Session, statement: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(statement).mappings()]
