"""What the staff see and do of all orders."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint, Response
from pydantic import AwareDatetime, Field, StringConstraints
from sqlalchemy import Select, exists, or_
from sqlalchemy.orm import Session

from common.api import MAX_MONEY, Page, PageQuery, Request, accepts, returns
from common.auth import current_user, requires, requires_user
from common.db import session, transaction
from common.errors import Invalid
from common.pagination import paginate
from order_service.api import idempotency
from order_service.api.listing import NEWEST_FIRST
from order_service.api.refunding import give_back
from order_service.api.schemas import OrderOut, Reason
from order_service.domain import audit, cancellation, payments, status, views
from order_service.domain import idempotency as keys
from order_service.models import Order, OrderItem, Refund, Status

api = Blueprint("admin_orders", __name__, url_prefix="/api/v1")


class OrderQuery(PageQuery):
    """`q` is looked for in order numbers and titles; `from` and `to` bound when it was placed (`to` excluded)."""

    status: Status | None = None
    user: UUID | None = None
    from_: AwareDatetime | None = Field(None, alias="from")
    to: AwareDatetime | None = None
    q: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


class StatusBody(Request):
    """`force` needs a reason: it does what is not a legal transition, and gives money and books back where it must."""

    status: Status
    reason: Reason | None = None
    force: bool = False


class RefundBody(Request):
    """`amount` is what to give back, all that is left when absent; `restock` needs a refund in full."""

    amount: Annotated[Decimal, Field(gt=0, le=MAX_MONEY, decimal_places=2)] | None = None
    restock: bool = False
    reason: Reason | None = None


@api.get("/admin/orders")
@requires("orders:manage")
@accepts(query=OrderQuery)
@returns(Page[OrderOut])
def list_all(query: OrderQuery) -> dict[str, Any]:
    """Orders of everybody, the latest first."""
    page = paginate(session, _wanted(query), by=NEWEST_FIRST, query=query, row=views.plain)
    return page | {"items": views.complete(session, page["items"])}


def _wanted(query: OrderQuery) -> Select[Any]:
    found = views.ORDERS
    if query.status:
        found = found.where(Order.status == query.status)
    if query.user:
        found = found.where(Order.user_id == query.user)
    if query.q:
        titled = exists().where(OrderItem.order_id == Order.id, OrderItem.title.icontains(query.q, autoescape=True))
        found = found.where(or_(Order.number.icontains(query.q, autoescape=True), titled))
    return _placed_between(found, query.from_, query.to)


def _placed_between(found: Select[Any], start: datetime | None, end: datetime | None) -> Select[Any]:
    if start:
        found = found.where(Order.placed_at >= start)
    return found.where(Order.placed_at < end) if end else found


@api.get("/admin/orders/<uuid:order_id>")
@requires("orders:manage")
@returns(OrderOut)
def get_any(order_id: UUID) -> dict[str, Any]:
    """Anybody's order."""
    return views.order(session, order_id)


@api.patch("/orders/<uuid:order_id>/status")
@api.patch("/admin/orders/<uuid:order_id>/status")
@requires("orders:manage")
@accepts(body=StatusBody)
@returns(OrderOut)
def change_status(order_id: UUID, body: StatusBody) -> dict[str, Any]:
    """Ship, deliver, cancel or refund, where the order's status allows it."""
    with transaction() as own:
        order = status.lock(own, order_id)
        refund = _move(own, order, body, actor=current_user().subject)
    give_back(refund)
    return views.order(session, order_id)


def _move(own: Session, order: Order, body: StatusBody, *, actor: str) -> Refund | None:
    before = order.status
    if body.force:
        if body.reason is None:
            raise Invalid.field("reason", "is needed with force")
        refund = cancellation.force(own, order, body.status, actor=actor, reason=body.reason)
    else:
        refund = cancellation.move_on(own, order, body.status, actor=actor, reason=body.reason)
    action = "order.forced" if body.force else "order.status_changed"
    old, new = {"status": before}, {"status": str(body.status)}
    audit.acted(own, actor, action, order.id, before=old, after=new, reason=body.reason)
    return refund


@api.post("/orders/<uuid:order_id>/refund")
@api.post("/admin/orders/<uuid:order_id>/refund")
@requires_user("orders:manage")
@accepts(body=RefundBody, body_required=False)
@returns(OrderOut)
def refund_order(order_id: UUID, body: RefundBody) -> Response:
    """Give money back, all or some of it; all of it ends the order."""
    actor = current_user()
    content = {"order_id": str(order_id), **body.model_dump(mode="json")}
    use = idempotency.requested_use(actor.user_id, "refund", content)
    earlier = refund = None
    with transaction() as own:
        order = status.lock(own, order_id)
        earlier = keys.claim(own, use, order_id) if use else None
        if earlier is None:
            refund = payments.refund(
                own, order, body.amount, restock=body.restock, actor=actor.subject, reason=body.reason
            )
            told = {"amount": refund.amount, "restock": body.restock}
            audit.acted(own, actor.subject, "order.refunded", order_id, after=told, reason=body.reason)
    give_back(refund)
    answer = idempotency.as_json(views.order(session, order_id))
    if earlier:
        return idempotency.replay(use, earlier, lambda: (200, answer))
    idempotency.keep(use, 200, answer)
    return idempotency.respond(200, answer)
