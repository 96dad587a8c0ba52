"""Stock: what is there, why, and the staff's corrections."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field, StringConstraints

from catalog_service.domain import audit, stock
from catalog_service.domain.fields import MAX_STOCK, Quantity
from catalog_service.models import StockMovement
from common.api import PageQuery, Request, Response, accepts, returns
from common.auth import current_user, requires
from common.db import session
from common.errors import Invalid
from common.pagination import Sort, paginate

api = Blueprint("stock", __name__, url_prefix="/api/v1/books/<uuid:id>/stock")

Reason = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class StockBody(Request):
    """Either `on_hand`, as counted, or `delta` with its `reason`."""

    on_hand: Quantity | None = None
    delta: int | None = Field(None, ge=-MAX_STOCK, le=MAX_STOCK)
    reason: Reason | None = None


class Figures(Response):
    on_hand: int
    reserved: int
    available: int


class MovementEntry(Response):
    kind: str
    quantity: int
    reason: str | None
    actor: str
    order_id: UUID | None
    at: datetime


class Stock(Figures):
    movements: list[MovementEntry]
    next_cursor: str | None
    total: int | None = None


@api.get("")
@requires("stock:write")
@accepts(query=PageQuery)
@returns(Stock)
def get_stock(id: UUID, query: PageQuery) -> dict[str, Any]:
    """A book's stock, with the movements that led to it, the latest first."""
    figures = stock.figures(session, id)
    page = paginate(
        session,
        stock.movements(id),
        by=[Sort(StockMovement.__table__.c.id, "id", descending=True)],
        query=query,
        row=_movement,
    )
    page["movements"] = page.pop("items")
    return figures | page


@api.patch("")
@requires("stock:write")
@accepts(body=StockBody)
@returns(Figures)
def correct_stock(id: UUID, body: StockBody) -> dict[str, int]:
    """Enter what came in, went missing or was counted."""
    actor = current_user().subject
    before = stock.locked(session, id)
    if body.on_hand is not None and body.delta is None:
        stock.count(session, id, body.on_hand, actor=actor, reason=body.reason)
    elif body.delta and body.on_hand is None:
        if body.reason is None:
            raise Invalid.field("reason", "is needed with delta")
        stock.adjust(session, id, body.delta, actor=actor, reason=body.reason)
    else:
        raise Invalid.field("delta", "give either on_hand, or a delta other than 0")
    after = stock.figures(session, id)
    audit.acted(session, actor, "stock.corrected", id, before=before, after=after, reason=body.reason)
    return after


def _movement(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in MovementEntry.model_fields}
