"""The cart of whoever is signed in, or of a guest, who is known by a cookie."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, after_this_request, request

from common.api import Request, accepts, returns
from common.app import config
from common.auth import current_user, principal, public, requires_user
from common.db import session, transaction
from order_service.api.books import learn
from order_service.api.schemas import CartOut, Quantity, Wanted
from order_service.domain import carts, guests

api = Blueprint("cart", __name__, url_prefix="/api/v1/cart")

COOKIE = "guest_cart"
PATH = "/api/v1"


class QuantityBody(Request):
    quantity: Quantity


@requires_user("cart:write")
def _signed_in() -> UUID:
    return current_user().user_id


def merge_guest(user_id: UUID) -> None:
    """Take over what this browser put in before its user signed in; then its cookie has done its work."""
    guest_id = guests.owner(request.cookies.get(COOKIE))
    if guest_id is None:
        return
    with transaction() as own:
        guests.merge(own, guest_id, user_id)
    after_this_request(_forget)


def _owner() -> UUID | None:
    """Whose cart is meant; None for a guest who has none yet."""
    if principal() is None:
        return guests.owner(request.cookies.get(COOKIE))
    user_id = _signed_in()
    merge_guest(user_id)
    return user_id


def _owner_or_new_guest() -> UUID:
    owner = _owner()
    if owner is not None:
        return owner
    secret = guests.new_secret()
    after_this_request(lambda response: _remember(response, secret))
    made = guests.owner(secret)
    assert made is not None
    return made


def _remember(response: Response, secret: str) -> Response:
    """A refused request makes no cart, and needs no cookie."""
    if response.status_code < 400:
        age = int(guests.KEPT_FOR.total_seconds())
        is_secure = config.public_url.startswith("https:")
        response.set_cookie(COOKIE, secret, age, path=PATH, secure=is_secure, httponly=True, samesite="Lax")
    return response


def _forget(response: Response) -> Response:
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="Lax")
    return response


@api.get("")
@public
@returns(CartOut)
def get_cart() -> dict[str, Any]:
    """The cart, with today's prices and what changed since."""
    return carts.view(session, _owner())


@api.delete("")
@public
@returns(None, status=204)
def empty_cart() -> None:
    """Take everything out."""
    if owner := _owner():
        carts.lock(session, owner, is_guest=principal() is None)
        carts.empty(session, owner)


@api.post("/items")
@public
@accepts(body=Wanted)
@returns(CartOut, status=201)
def add_item(body: Wanted) -> dict[str, Any]:
    """Put copies of a book in; the same book adds up."""
    owner = _owner_or_new_guest()
    learn([body.book_id])
    carts.add(session, owner, body.book_id, body.quantity, is_guest=principal() is None)
    return carts.view(session, owner)


@api.put("/items/<uuid:item_id>")
@public
@accepts(body=QuantityBody)
@returns(CartOut)
def set_quantity(item_id: UUID, body: QuantityBody) -> dict[str, Any]:
    """Have exactly so many copies."""
    owner = _owner_or_new_guest()
    carts.set_quantity(session, owner, item_id, body.quantity)
    return carts.view(session, owner)


@api.delete("/items/<uuid:item_id>")
@public
@returns(None, status=204)
def remove_item(item_id: UUID) -> None:
    """Take a book out."""
    carts.remove(session, _owner_or_new_guest(), item_id)
