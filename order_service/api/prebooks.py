"""Places in the queue for books that are out of stock."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select

from common.api import Page, PageQuery, Response, accepts, known_as, returns
from common.auth import current_user, requires_user
from common.db import session
from common.pagination import Sort, paginate
from order_service.api.books import doubt_stock, learn
from order_service.api.schemas import CartOut, Wanted
from order_service.domain import carts, prebooks
from order_service.models import Book, Prebooking

api = Blueprint("prebooks", __name__, url_prefix="/api/v1/prebooks")


class PrebookOut(Response):
    id: UUID
    book_id: UUID
    title: str | None
    quantity: int
    status: Literal["WAITING", "NOTIFIED", "FULFILLED", "CANCELLED"]
    offered: int = Field(description="copies that can be had, once notified: fewer than wanted if no more came in")
    created_at: datetime
    notified_at: datetime | None
    expires_at: datetime | None = Field(description="until when the offer stands")


_FIELDS = [name for name in PrebookOut.model_fields if name != "title"]


@api.get("")
@requires_user("cart:write")
@accepts(query=PageQuery)
@returns(Page[PrebookOut])
def list_prebooks(query: PageQuery) -> dict[str, Any]:
    """One's own, the latest first."""
    columns, book = Prebooking.__table__.c, Book.__table__.c
    mine = (
        select(*columns, book.title)
        .join_from(Prebooking, Book, book.book_id == columns.book_id, isouter=True)
        .where(columns.user_id == current_user().user_id)
    )
    return paginate(session, mine, by=[Sort(columns.id, "id", descending=True)], query=query, row=_row)


@api.post("")
@requires_user("cart:write")
@accepts(body=Wanted)
@returns(PrebookOut, status=201)
@known_as("prebookBook")
def prebook(body: Wanted) -> dict[str, Any]:
    """Wait for copies of a book of which none can be had now; a mail tells when they are there."""
    learn([body.book_id])
    doubt_stock(body.book_id)
    return _shown(prebooks.request(session, current_user().user_id, body.book_id, body.quantity))


@api.delete("/<uuid:prebooking_id>")
@requires_user("cart:write")
@returns(None, status=204)
def cancel_prebook(prebooking_id: UUID) -> None:
    """Leave the queue."""
    prebooks.cancel(session, current_user().user_id, prebooking_id)


@api.post("/<uuid:prebooking_id>/cart")
@requires_user("cart:write")
@returns(CartOut)
@known_as("movePrebookToCart")
def to_cart(prebooking_id: UUID) -> dict[str, Any]:
    """Put what was offered into the cart: where the mail's link leads. Twice is once."""
    user_id = current_user().user_id
    book_id, offered = prebooks.offered(session, user_id, prebooking_id)
    carts.hold_at_least(session, user_id, book_id, offered)
    return carts.view(session, user_id)


def _shown(prebooking: Prebooking) -> dict[str, Any]:
    book = session.get(Book, prebooking.book_id)
    return {name: getattr(prebooking, name) for name in _FIELDS} | {"title": book.title if book else None}


def _row(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PrebookOut.model_fields}
