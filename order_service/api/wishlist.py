"""The wish list of whoever is signed in."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from common.api import Money, Page, PageQuery, Request, Response, accepts, returns
from common.auth import current_user, requires_user
from common.db import session
from common.errors import NotFound
from common.pagination import Sort, paginate
from order_service.api.books import learn
from order_service.domain import wishlist
from order_service.models import Wish

api = Blueprint("wishlist", __name__, url_prefix="/api/v1/wishlist")


class WishBody(Request):
    book_id: UUID


class WishOut(Response):
    book_id: UUID
    title: str | None
    price: Money | None = Field(description="today's; null when the book is no longer on sale")
    currency: str | None
    on_sale: bool
    in_stock: bool
    added_at: datetime


@api.get("")
@requires_user("cart:write")
@accepts(query=PageQuery)
@returns(Page[WishOut])
def list_wishes(query: PageQuery) -> dict[str, Any]:
    """One's own, the latest first."""
    columns = Wish.__table__.c
    mine = wishlist.ENTRIES.where(columns.user_id == current_user().user_id)
    by = [Sort(columns.id, "id", descending=True)]
    return paginate(session, mine, by=by, query=query, row=wishlist.shown)


@api.post("")
@requires_user("cart:write")
@accepts(body=WishBody)
@returns(WishOut, status=201)
@returns(WishOut, description="It was on the list already")
def add_wish(body: WishBody) -> tuple[dict[str, Any], int]:
    """Put a book on the list; twice is once."""
    user_id = current_user().user_id
    learn([body.book_id])
    is_new = wishlist.add(session, user_id, body.book_id)
    return wishlist.entry(session, user_id, body.book_id), 201 if is_new else 200


@api.get("/<uuid:book_id>")
@requires_user("cart:write")
@returns(None, status=204, description="It is on the list")
def has_wish(book_id: UUID) -> None:
    """Whether a book is on one's list: 404 if it is not."""
    if not wishlist.has(session, current_user().user_id, book_id):
        raise NotFound("this book is not on your list")


@api.delete("/<uuid:book_id>")
@requires_user("cart:write")
@returns(None, status=204)
def remove_wish(book_id: UUID) -> None:
    """Take a book off the list."""
    wishlist.remove(session, current_user().user_id, book_id)
