"""The cart of whoever is signed in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint

from common.api import Request, accepts, returns
from common.auth import current_user, requires_user
from common.db import session
from order_service.api.books import learn
from order_service.api.schemas import CartOut, Quantity, Wanted
from order_service.domain import carts

api = Blueprint("cart", __name__, url_prefix="/api/v1/cart")


class QuantityBody(Request):
    quantity: Quantity


@api.get("")
@requires_user("cart:write")
@returns(CartOut)
def get_cart() -> dict[str, Any]:
    """The cart, with today's prices and what changed since."""
    return carts.view(session, current_user().user_id)


@api.delete("")
@requires_user("cart:write")
@returns(None, status=204)
def empty_cart() -> None:
    """Take everything out."""
    user_id = current_user().user_id
    carts.lock(session, user_id)
    carts.empty(session, user_id)


@api.post("/items")
@requires_user("cart:write")
@accepts(body=Wanted)
@returns(CartOut, status=201)
def add_item(body: Wanted) -> dict[str, Any]:
    """Put copies of a book in; the same book adds up."""
    user_id = current_user().user_id
    learn([body.book_id])
    carts.add(session, user_id, body.book_id, body.quantity)
    return carts.view(session, user_id)


@api.put("/items/<uuid:item_id>")
@requires_user("cart:write")
@accepts(body=QuantityBody)
@returns(CartOut)
def set_quantity(item_id: UUID, body: QuantityBody) -> dict[str, Any]:
    """Have exactly so many copies."""
    user_id = current_user().user_id
    carts.set_quantity(session, user_id, item_id, body.quantity)
    return carts.view(session, user_id)


@api.delete("/items/<uuid:item_id>")
@requires_user("cart:write")
@returns(None, status=204)
def remove_item(item_id: UUID) -> None:
    """Take a book out."""
    carts.remove(session, current_user().user_id, item_id)
