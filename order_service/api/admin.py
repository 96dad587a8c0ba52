"""What the staff see and do of all orders."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from io import BytesIO
from time import monotonic
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint, Response, current_app, send_file
from pydantic import Field, StringConstraints
from sqlalchemy import Select
from sqlalchemy.orm import Session, selectinload

from common.api import Day, FileContent, Money, Page, PageQuery, Request, accepts, known_as, returns
from common.api import Response as Answer
from common.app import config
from common.auth import current_user, requires, requires_user
from common.db import current_database, session, transaction
from common.errors import DomainError, Invalid, NotFound
from common.pagination import Listing, listing, paginate
from common.spreadsheets import RAW
from order_service import orders_csv, packing_slip_pdf
from order_service.api import idempotency
from order_service.api.refunding import give_back
from order_service.api.schemas import OrderOut, Reason
from order_service.domain import audit, cancellation, payments, search, status, views
from order_service.domain import idempotency as keys
from order_service.domain.listing import NEWEST_FIRST
from order_service.models import Order, Refund, Status
from order_service.pdf import Press

api = Blueprint("admin_orders", __name__, url_prefix="/api/v1")

GIVES_BACK_FOR_SECONDS = 10.0
"""How long one request asks the provider to give money back; what it has promised besides, the worker carries out."""


class OrderFilters(Request):
    """`from` and `to` bound when it was placed: days in UTC, both included, or times, of which `to` is excluded.

    `q` is an order number, its beginning or running part, or stands in a title, a customer's name or their address;
    one or two characters, at its beginning. A whole number means that order, a whole address that customer, and nothing
    else.
    """

    status: Status | None = None
    user: UUID | None = None
    from_: Day | None = Field(None, alias="from")
    to: Day | None = None
    q: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


class OrderQuery(OrderFilters, PageQuery):
    """A page of what the filters let through."""


class ExportQuery(OrderFilters):
    """What the filters let through, as a file."""

    raw: bool = Field(False, description=RAW)


class StatusBody(Request):
    """`force` needs a reason: it does what is not a legal transition, and gives money and books back where it must."""

    status: Status
    reason: Reason | None = None
    force: bool = False


class BulkBody(Request):
    order_ids: Annotated[list[UUID], Field(min_length=1, max_length=100)]
    status: Status
    reason: Reason | None = None


class BulkResultOut(Answer):
    order_id: UUID
    status: str | None
    error: dict[str, Any] | None = Field(description="why it was not changed, as a problem (RFC 9457)")


class BulkOut(Answer):
    results: list[BulkResultOut]


class RefundBody(Request):
    """`amount` is what to give back, all that is left when absent; `restock` needs a refund in full."""

    amount: Annotated[Money, Field(gt=0)] | None = None
    restock: bool = False
    reason: Reason | None = None


@api.get("/admin/orders")
@requires("orders:manage")
@accepts(query=OrderQuery)
@returns(Page[OrderOut])
@known_as("listAllOrders")
def list_all(query: OrderQuery) -> dict[str, Any]:
    """Orders of everybody, the latest first."""
    page = paginate(session, _wanted(session, query), by=NEWEST_FIRST, query=query, row=views.plain)
    return page | {"items": views.complete(session, page["items"])}


def _wanted(reader: Session, query: OrderFilters) -> Listing:
    filtered = _filtered(query)
    if query.q is None:
        return listing(filtered, NEWEST_FIRST)
    return search.orders(reader, filtered, query.q, of_one_user=query.user is not None)


def _filtered(query: OrderFilters) -> Select[Any]:
    found = views.ORDERS
    if query.status:
        found = found.where(Order.status == query.status)
    if query.user:
        found = found.where(Order.user_id == query.user)
    return _placed_between(found, query.from_, query.to)


def _placed_between(found: Select[Any], start: date | None, end: date | None) -> Select[Any]:
    if start:
        first = start if isinstance(start, datetime) else datetime.combine(start, time.min, UTC)
        found = found.where(Order.placed_at >= first)
    if isinstance(end, datetime):
        return found.where(Order.placed_at < end)
    return found.where(Order.placed_at <= datetime.combine(end, time.max, UTC)) if end else found


@api.get("/admin/orders/<uuid:order_id>")
@requires("orders:manage")
@returns(OrderOut)
@known_as("getAnyOrder")
def get_any(order_id: UUID) -> dict[str, Any]:
    """Anybody's order."""
    return views.order(session, order_id)


@api.patch("/orders/<uuid:order_id>/status")
@api.patch("/admin/orders/<uuid:order_id>/status")
@requires("orders:manage")
@accepts(body=StatusBody)
@returns(OrderOut)
@known_as("changeOrderStatus")
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


@api.post("/admin/orders/bulk-status")
@requires("orders:manage")
@accepts(body=BulkBody)
@returns(BulkOut)
@known_as("changeManyOrders")
def change_many(body: BulkBody) -> dict[str, Any]:
    """Change the status of several orders, each by itself: what one may not become does not hold up the others.

    `status` is what each is in now: one whose money is still on its way back becomes REFUNDED when it is there.
    """
    wanted = StatusBody(status=body.status, reason=body.reason)
    asks_until = monotonic() + GIVES_BACK_FOR_SECONDS
    return {"results": [_one_of_many(order_id, wanted, asks_until) for order_id in dict.fromkeys(body.order_ids)]}


def _one_of_many(order_id: UUID, wanted: StatusBody, asks_until: float) -> dict[str, Any]:
    try:
        with transaction() as own:
            order = status.lock(own, order_id)
            refund = _move(own, order, wanted, actor=current_user().subject)
    except DomainError as refused:
        return {"order_id": order_id, "status": None, "error": refused.as_problem()}
    if monotonic() < asks_until:
        give_back(refund)
    with current_database().read() as reader:
        return {"order_id": order_id, "status": reader.get_one(Order, order_id).status, "error": None}


@api.get("/admin/orders/<uuid:order_id>/packing-slip")
@requires("orders:manage")
@returns(FileContent(("application/pdf",)))
def get_packing_slip(order_id: UUID) -> Response:
    """What goes into the parcel and where it goes, without prices."""
    order = session.get(Order, order_id, options=[selectinload(Order.items)])
    if order is None:
        raise NotFound
    session.close()  # its connection is for others while this one waits
    press: Press = current_app.extensions["press"]
    content = BytesIO(press.made(lambda: packing_slip_pdf.render(order, config.invoice_seller)))
    name = f"packing-slip-{order.number}.pdf"
    answer = send_file(content, "application/pdf", as_attachment=True, download_name=name)
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


@api.get("/admin/orders/export")
@requires("orders:manage")
@accepts(query=ExportQuery)
@returns(FileContent(("text/csv",)))
@known_as("exportOrders")
def export(query: ExportQuery) -> Response:
    """All orders that the filters let through, as CSV, the latest first; sent while they are read."""
    rows = orders_csv.rows(current_database(), _wanted(session, query).batch, NEWEST_FIRST, raw=query.raw)
    headers = {"Content-Disposition": "attachment; filename=orders.csv", "Cache-Control": "private, no-store"}
    return Response(rows, mimetype="text/csv", headers=headers)


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
