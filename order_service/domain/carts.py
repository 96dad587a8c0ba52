"""Carts: what somebody means to order, at today's prices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import utcnow
from common.errors import Conflict, Invalid, NotFound
from order_service.domain import books
from order_service.domain.totals import line_total, totals
from order_service.models import Book, Cart, CartItem, Order

MAX_QUANTITY = 99
MAX_TITLES = 100


class CartFull(Conflict):
    code = "cart_full"


def lock(session: Session, user_id: UUID, *, is_guest: bool = False) -> None:
    """Make the owner's cart exist, in use as of now, and keep it from changing until this transaction ends."""
    made = insert(Cart).values(user_id=user_id, updated_at=utcnow(), is_guest=is_guest)
    used = {"updated_at": made.excluded.updated_at}
    session.execute(made.on_conflict_do_update(index_elements=["user_id"], set_=used))


def add(session: Session, user_id: UUID, book_id: UUID, quantity: int, *, is_guest: bool = False) -> None:
    """Put copies in; the same book adds up. Raises NotFound, CartFull or Invalid (more than 99)."""
    book = books.on_sale(session, [book_id])[book_id]
    lock(session, user_id, is_guest=is_guest)
    held = session.scalar(_items(user_id).where(CartItem.book_id == book_id))
    if held is None:
        if count(session, user_id) >= MAX_TITLES:
            raise CartFull(f"A cart holds at most {MAX_TITLES} titles.")
        held = CartItem(user_id=user_id, book_id=book_id, quantity=0, unit_price=book.price)
        session.add(held)
    if held.quantity + quantity > MAX_QUANTITY:
        raise Invalid.field("quantity", f"there would be more than {MAX_QUANTITY} of this book in the cart")
    held.quantity, held.unit_price = held.quantity + quantity, book.price
    session.flush()


def hold_at_least(session: Session, user_id: UUID, book_id: UUID, quantity: int) -> None:
    """Put copies in until there are so many. Raises NotFound or CartFull."""
    lock(session, user_id)
    held = session.scalar(select(CartItem.quantity).where(CartItem.user_id == user_id, CartItem.book_id == book_id))
    if (held or 0) < quantity:
        add(session, user_id, book_id, quantity - (held or 0))


def set_quantity(session: Session, user_id: UUID, item_id: UUID, quantity: int) -> None:
    """Have exactly so many of an item, which also accepts its present price. Raises NotFound."""
    lock(session, user_id)
    item = session.scalar(_items(user_id).where(CartItem.id == item_id))
    if item is None:
        raise NotFound
    book = session.get(Book, item.book_id)
    item.quantity = quantity
    item.unit_price = book.price if book else item.unit_price
    session.flush()


def remove(session: Session, user_id: UUID, item_id: UUID) -> None:
    lock(session, user_id)
    gone = session.scalar(
        delete(CartItem).where(CartItem.user_id == user_id, CartItem.id == item_id).returning(CartItem.id)
    )
    if gone is None:
        raise NotFound


def empty(session: Session, user_id: UUID) -> None:
    session.execute(delete(CartItem).where(CartItem.user_id == user_id))


def count(session: Session, user_id: UUID) -> int:
    """How many titles are in it."""
    return session.scalar(select(func.count()).where(CartItem.user_id == user_id)) or 0


def contents(session: Session, user_id: UUID) -> list[tuple[UUID, int]]:
    """What is in it, as (book, quantity), in the order in which it was put in."""
    return [(item.book_id, item.quantity) for item in session.scalars(_items(user_id))]


def reorder(session: Session, user_id: UUID, order: Order) -> list[UUID]:
    """Put an order's books in again, as far as they are on sale and fit; those that could not be, by id."""
    left_out = []
    for item in order.items:
        try:
            add(session, user_id, item.book_id, item.quantity)
        except (NotFound, CartFull, Invalid):
            left_out.append(item.book_id)
    return left_out


def put_back(session: Session, order: Order) -> None:
    """Give a cart back what an order could not get, next to what has been put in since.

    What finds no room is still in the order, from which it can be ordered again.
    """
    lock(session, order.user_id)
    held = {item.book_id: item for item in session.scalars(_items(order.user_id))}
    left = MAX_TITLES - len(held)
    for item in order.items:
        if present := held.get(item.book_id):
            present.quantity = min(MAX_QUANTITY, present.quantity + item.quantity)
        elif left > 0:
            session.add(_copy(order.user_id, item))
            left -= 1
    session.flush()


def _copy(user_id: UUID, item: Any) -> CartItem:
    return CartItem(user_id=user_id, book_id=item.book_id, quantity=item.quantity, unit_price=item.unit_price)


def view(session: Session, user_id: UUID | None) -> dict[str, Any]:
    """The cart with live prices and availability, and what its owner should know."""
    joined = (
        select(CartItem, Book)
        .outerjoin(Book, Book.book_id == CartItem.book_id)
        .where(CartItem.user_id == user_id)
        .order_by(CartItem.added_at, CartItem.id)
    )
    items = [_item(item, book) for item, book in session.execute(joined)]
    sold = [(item["quantity"], item["unit_price"]) for item in items if item["available"] is not None]
    return {
        "items": items,
        "subtotal": totals(sold).total,
        "currency": next((item["currency"] for item in items if item["currency"]), None),
        "warnings": [{"item_id": item["id"], **warning} for item in items for warning in item["warnings"]],
    }


def _item(item: CartItem, book: Book | None) -> dict[str, Any]:
    on_sale = book if book and book.is_active else None
    price = on_sale.price if on_sale else item.unit_price
    return {
        "id": item.id,
        "book_id": item.book_id,
        "title": book.title if book else None,
        "quantity": item.quantity,
        "unit_price": price,
        "line_total": line_total(item.quantity, price),
        "currency": book.currency if book else None,
        "available": on_sale.available if on_sale else None,
        "in_stock": bool(on_sale and on_sale.available >= item.quantity),
        "warnings": list(_warnings(item, on_sale)),
    }


def _warnings(item: CartItem, on_sale: Book | None) -> Iterable[dict[str, str]]:
    if on_sale is None:
        yield {"code": "not_on_sale", "detail": "This book is no longer on sale."}
        return
    if on_sale.price != item.unit_price:
        yield {"code": "price_changed", "detail": f"The price was {item.unit_price} and is {on_sale.price} now."}
    if on_sale.available < item.quantity:
        yield {"code": "not_enough_stock", "detail": f"Only {max(on_sale.available, 0)} can be had now."}


def _items(user_id: UUID) -> Any:
    return select(CartItem).where(CartItem.user_id == user_id).order_by(CartItem.added_at, CartItem.id)
