"""The cart of whoever is signed in, or of a guest, who is known by a cookie."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, after_this_request, request

from common.api import Request, accepts, known_as, returns
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
    """Take over what this browser put in before its user signed in; then its cookie has done its work.

    What finds no room waits in the guest's cart, and its cookie with it.
    """
    guest_id = _guest_id()
    if guest_id is None:
        return
    with transaction() as own:
        is_done = guests.merge(own, guest_id, user_id)
    if is_done:
        after_this_request(_forget)
    else:
        _keep_cookie(request.cookies[COOKIE])


def _guest_id() -> UUID | None:
    return guests.owner(request.cookies.get(COOKIE))


def _owner() -> UUID | None:
    """Whose cart is meant; None for a guest who has none yet."""
    return _guest_id() if principal() is None else _user_after_merge()


def _user_after_merge() -> UUID:
    user_id = _signed_in()
    merge_guest(user_id)
    return user_id


def _owner_or_new_guest() -> UUID:
    """Whose cart is about to be changed. A guest's cookie is renewed by that, as their cart is."""
    if principal() is not None:
        return _user_after_merge()
    secret = request.cookies[COOKIE] if _guest_id() else guests.new_secret()
    _keep_cookie(secret)
    owner = guests.owner(secret)
    assert owner is not None
    return owner


def _keep_cookie(secret: str) -> None:
    after_this_request(lambda response: _remember(response, secret))


def _remember(response: Response, secret: str) -> Response:
    """A refused request makes no cart and uses none, and needs no cookie."""
    if response.status_code < 400:
        age = int(guests.KEPT_FOR.total_seconds())
        is_secure = config.public_url.startswith("https:")
        response.set_cookie(COOKIE, secret, age, path=PATH, secure=is_secure, httponly=True, samesite="Lax")
    return response


def _forget(response: Response) -> Response:
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="Lax")
    return response


def _waiting_guest_id() -> UUID | None:
    """Whose cart holds what is not, or not yet, in the cart of the user who has signed in."""
    return None if principal() is None else _guest_id()


def _shown(owner: UUID | None) -> dict[str, Any]:
    cart = carts.view(session, owner)
    guest_id = _waiting_guest_id()
    if guest_id and (waiting := carts.count(session, guest_id)):
        detail = f"The cart is full. Titles from before signing in that wait for room: {waiting}."
        cart["warnings"].append({"item_id": None, "code": "cart_full", "detail": detail})
    return cart


@api.get("")
@public
@returns(CartOut)
def get_cart() -> dict[str, Any]:
    """The cart, with today's prices and what changed since."""
    return _shown(_owner())


@api.delete("")
@public
@returns(None, status=204)
def empty_cart() -> None:
    """Take everything out, and what was put in before signing in."""
    owner = _guest_id() if principal() is None else _signed_in()
    if owner is None:
        return
    if waiting := _waiting_guest_id():
        guests.forget(session, waiting)
        after_this_request(_forget)
    carts.lock(session, owner, is_guest=principal() is None)
    carts.empty(session, owner)


@api.post("/items")
@public
@accepts(body=Wanted)
@returns(CartOut, status=201)
@known_as("addCartItem")
def add_item(body: Wanted) -> dict[str, Any]:
    """Put copies of a book in; the same book adds up."""
    owner = _owner_or_new_guest()
    learn([body.book_id])
    carts.add(session, owner, body.book_id, body.quantity, is_guest=principal() is None)
    return _shown(owner)


@api.put("/items/<uuid:item_id>")
@public
@accepts(body=QuantityBody)
@returns(CartOut)
@known_as("setCartItemQuantity")
def set_quantity(item_id: UUID, body: QuantityBody) -> dict[str, Any]:
    """Have exactly so many copies."""
    owner = _owner_or_new_guest()
    carts.set_quantity(session, owner, item_id, body.quantity)
    return _shown(owner)


@api.delete("/items/<uuid:item_id>")
@public
@returns(None, status=204)
@known_as("removeCartItem")
def remove_item(item_id: UUID) -> None:
    """Take a book out."""
    carts.remove(session, _owner_or_new_guest(), item_id)
