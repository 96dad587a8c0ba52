"""For the other services, to rebuild what they keep of orders; the gateway never routes here."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field
from sqlalchemy import Row, select

from common.api import Page, PageQuery, Request, Response, accepts, returns
from common.auth import requires
from common.db import session
from common.pagination import Sort, paginate
from order_service.domain.purchases import purchases, sales
from order_service.models import Order, OrderItem

api = Blueprint("internal", __name__, url_prefix="/internal")


class PurchaseQuery(PageQuery):
    limit: int = Field(500, ge=1, le=1000)
    user_id: UUID | None = None
    book_id: UUID | None = None


class SaleQuery(PageQuery):
    limit: int = Field(500, ge=1, le=1000)


class SaleOut(Response):
    order_id: UUID


class PurchaseOut(Response):
    user_id: UUID
    book_id: UUID
    order_id: UUID
    purchased_at: datetime


@api.get("/purchases")
@requires("replicas:read")
@accepts(query=PurchaseQuery)
@returns(Page[PurchaseOut])
def list_purchases(query: PurchaseQuery) -> dict[str, Any]:
    """Books that are paid for and were not given back."""
    by = [Sort(Order.__table__.c.id, "order_id"), Sort(OrderItem.__table__.c.position, "position")]
    return paginate(session, purchases(query.user_id, query.book_id), by=by, query=query, row=_purchase)


class StatesQuery(Request):
    id: list[UUID] = Field(min_length=1, max_length=100)


class StateOut(Response):
    order_id: UUID
    status: str


class StatesOut(Response):
    items: list[StateOut] = Field(description="Of those that exist.")


@api.get("/orders/states")
@requires("replicas:read")
@accepts(query=StatesQuery)
@returns(StatesOut)
def list_states(query: StatesQuery) -> dict[str, Any]:
    """How these orders stand."""
    found = session.execute(select(Order.id, Order.status).where(Order.id.in_(query.id)))
    return {"items": [{"order_id": row.id, "status": row.status} for row in found]}


@api.get("/sales")
@requires("replicas:read")
@accepts(query=SaleQuery)
@returns(Page[SaleOut])
def list_sales(query: SaleQuery) -> dict[str, Any]:
    """Orders that were ever paid, also those whose money went back."""
    by = [Sort(Order.__table__.c.id, "order_id")]
    return paginate(session, sales(), by=by, query=query, row=lambda row: {"order_id": row.order_id})


def _purchase(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PurchaseOut.model_fields}
