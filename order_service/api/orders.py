"""Placing orders, and what became of them."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint, Response, current_app, request
from pydantic import Field

from common.api import Money, Page, PageQuery, Request, accepts, known_as, returns
from common.api import Response as Answer
from common.app import config
from common.auth import current_user, requires_user
from common.db import current_database, session, transaction
from common.errors import Invalid, problem
from common.ids import new_id
from common.pagination import paginate
from order_service.api import idempotency
from order_service.api.books import learn
from order_service.api.carts import merge_guest
from order_service.api.refunding import give_back
from order_service.api.schemas import Address, CartOut, Code, OrderOut, Reason, ShippingOptionOut, Wanted
from order_service.decisions import DecisionWaiter
from order_service.domain import addresses, cancellation, carts, checkout, pricing, status, views
from order_service.domain import idempotency as keys
from order_service.domain.checkout import Purchase
from order_service.domain.idempotency import Earlier, Use
from order_service.domain.listing import NEWEST_FIRST
from order_service.models import Order, Status

api = Blueprint("orders", __name__, url_prefix="/api/v1/orders")

MAX_WAIT_SECONDS = 10
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,4})\"?(?:$|[,;\s])", re.IGNORECASE)


class OrderBody(Request):
    """Without `items`, the cart is ordered."""

    items: Annotated[list[Wanted], Field(min_length=1, max_length=100)] | None = None
    shipping_address: Address | None = None
    address_id: Annotated[UUID | None, Field(description="of the address book, instead of shipping_address")] = None
    shipping_method: Code | None = None
    promotion_code: Code | None = None


class QuoteOut(Answer):
    subtotal: Money
    discount: Money
    shipping: Money
    tax: Money
    tax_included: bool
    total: Money
    currency: str
    shipping_method: str | None
    shipping_methods: list[ShippingOptionOut]


class LeftOut(Answer):
    book_id: UUID
    title: str


class ReorderOut(Answer):
    cart: CartOut
    left_out: list[LeftOut] = Field(description="what is no longer on sale, or does not fit into the cart")


class CancelBody(Request):
    reason: Reason | None = None


@api.post("")
@api.post("/checkout")
@requires_user("orders:write")
@accepts(body=OrderBody, body_required=False)
@returns(OrderOut, status=201, description="Placed; with Prefer: wait=5, its stock is set aside")
def place_order(body: OrderBody) -> Response:
    """Order the cart or these items, at our prices."""
    user_id = current_user().user_id
    use = idempotency.requested_use(user_id, "place_order", body.model_dump(mode="json"))
    if earlier := idempotency.find(use):
        return _answer_again(use, earlier)
    _take_over_guest(user_id, body)
    purchase = _purchase(user_id, body)
    learn(_books(purchase))
    waiter: DecisionWaiter = current_app.extensions["decisions"]
    with waiter.expecting(purchase.order_id, _preferred_wait()) as wait:
        with transaction() as own:
            earlier = keys.claim(own, use, purchase.order_id) if use else None
            if earlier is None:
                checkout.place(own, purchase)
        if use and earlier:
            return _answer_again(use, earlier)
        wait(lambda: _is_decided(purchase.order_id))
    return _answer_first(use, purchase.order_id)


def _take_over_guest(user_id: UUID, body: OrderBody) -> None:
    if body.items is None:
        merge_guest(user_id)


def _purchase(user_id: UUID, body: OrderBody) -> Purchase:
    return Purchase(
        order_id=new_id(),
        user_id=user_id,
        lines=tuple((line.book_id, line.quantity) for line in body.items) if body.items else None,
        shipping_address=_address(user_id, body),
        shipping_method=body.shipping_method,
        promotion_code=body.promotion_code,
        decision_ttl=config.decision_ttl,
        payment_ttl=config.payment_ttl,
    )


def _address(user_id: UUID, body: OrderBody) -> dict[str, Any] | None:
    if body.address_id is None:
        return body.shipping_address.model_dump() if body.shipping_address else None
    if body.shipping_address:
        raise Invalid.field("address_id", "cannot stand beside shipping_address")
    with current_database().read() as reader:
        return addresses.copy(reader, user_id, body.address_id)


@api.post("/quote")
@requires_user("orders:write")
@accepts(body=OrderBody, body_required=False)
@returns(QuoteOut)
def quote_order(body: OrderBody) -> dict[str, Any]:
    """What the order would cost now, and how it can be sent; nothing is placed."""
    user_id = current_user().user_id
    _take_over_guest(user_id, body)
    purchase = _purchase(user_id, body)
    learn(_books(purchase))
    price, currency = checkout.quote(session, purchase)
    address = purchase.shipping_address
    found = pricing.options(session, address["country"] if address else None)
    sums = price.sums
    return {
        name: getattr(sums, name) for name in ("subtotal", "discount", "shipping", "tax", "tax_included", "total")
    } | {
        "currency": currency,
        "shipping_method": price.shipping_method,
        "shipping_methods": [{name: getattr(each, name) for name in ShippingOptionOut.model_fields} for each in found],
    }


def _books(purchase: Purchase) -> list[UUID]:
    lines = purchase.lines
    if lines is None:
        with current_database().read() as reader:
            lines = tuple(carts.contents(reader, purchase.user_id))
    return [book_id for book_id, _ in lines]


def _preferred_wait() -> float:
    """Seconds that the client would rather wait for the decision (RFC 7240 section 4.3)."""
    wanted = _WAIT.search(request.headers.get("Prefer", ""))
    return min(int(wanted[1]), MAX_WAIT_SECONDS) if wanted else 0


def _is_decided(order_id: UUID) -> bool:
    with current_database().read() as reader:
        return reader.get_one(Order, order_id).status != Status.PENDING


def _answer_first(use: Use | None, order_id: UUID) -> Response:
    code, answer = _answer(order_id)
    idempotency.keep(use, code, answer)
    response = _located(idempotency.respond(code, answer), order_id)
    if _preferred_wait() and answer.get("status") != Status.PENDING:
        response.headers["Preference-Applied"] = f"wait={int(_preferred_wait())}"
    return response


def _answer_again(use: Use | None, earlier: Earlier) -> Response:
    return _located(idempotency.replay(use, earlier, lambda: _answer(earlier.order_id)), earlier.order_id)


def _located(response: Response, order_id: UUID) -> Response:
    response.headers["Location"] = f"/api/v1/orders/{order_id}"
    return response


def _answer(order_id: UUID) -> tuple[int, dict[str, Any]]:
    """What to say of an order that was just placed: itself, or which of its lines were short."""
    with current_database().read() as reader:
        short = reader.get_one(Order, order_id).short_lines
        if short is None:
            return 201, idempotency.as_json(views.order(reader, order_id))
    detail = "Not all of this can be had any more."
    return 409, problem(409, "out_of_stock", detail, order_id=str(order_id), lines=short)


@api.get("")
@requires_user("orders:read")
@accepts(query=PageQuery)
@returns(Page[OrderOut])
def list_orders(query: PageQuery) -> dict[str, Any]:
    """One's own orders, the latest first."""
    mine = views.ORDERS.where(Order.user_id == current_user().user_id)
    page = paginate(session, mine, by=NEWEST_FIRST, query=query, row=views.plain)
    return page | {"items": views.complete(session, page["items"])}


@api.get("/<uuid:order_id>")
@requires_user("orders:read")
@returns(OrderOut)
def get_order(order_id: UUID) -> dict[str, Any]:
    """One of one's own orders."""
    return views.order(session, order_id, owner=current_user().user_id)


@api.post("/<uuid:order_id>/cancel")
@requires_user("orders:write")
@accepts(body=CancelBody, body_required=False)
@returns(OrderOut)
def cancel_order(order_id: UUID, body: CancelBody) -> dict[str, Any]:
    """Call an order off before it ships; what was paid goes back."""
    bearer = current_user()
    with transaction() as own:
        order = status.lock_own(own, order_id, bearer.user_id)
        reason = body.reason or "cancelled_by_customer"
        refund = cancellation.cancel(own, order, actor=bearer.subject, reason=reason)
    give_back(refund)
    return views.order(session, order_id)


@api.post("/<uuid:order_id>/reorder")
@requires_user("cart:write")
@returns(ReorderOut)
@known_as("orderAgain")
def reorder(order_id: UUID) -> dict[str, Any]:
    """Put the books of one of one's own orders into the cart again, at today's prices."""
    user_id = current_user().user_id
    order = views.owned(session, order_id, user_id)
    left_out = set(carts.reorder(session, user_id, order))
    missing = [{"book_id": item.book_id, "title": item.title} for item in order.items if item.book_id in left_out]
    return {"cart": carts.view(session, user_id), "left_out": missing}
