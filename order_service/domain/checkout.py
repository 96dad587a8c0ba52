"""Placing an order: from a cart or from lines, at our prices, with the event that asks the catalog for its stock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from common import outbox
from common.db import utcnow
from common.errors import Conflict, Invalid
from common.events.orders import OrderPlaced
from order_service.domain import books, carts, status
from order_service.domain.carts import MAX_QUANTITY
from order_service.domain.totals import line_total, totals
from order_service.models import Book, Order, OrderItem, Status

Lines = Iterable[tuple[UUID, int]]


class EmptyCart(Conflict):
    code = "empty_cart"


class MixedCurrencies(Conflict):
    code = "mixed_currencies"


@dataclass(frozen=True, slots=True)
class Purchase:
    """What somebody asks to order; without `lines`, what is in their cart."""

    order_id: UUID
    user_id: UUID
    lines: tuple[tuple[UUID, int], ...] | None
    shipping_address: Mapping[str, Any] | None
    decision_ttl: timedelta
    payment_ttl: timedelta


def place(session: Session, purchase: Purchase) -> Order:
    """The order, PENDING until the catalog has decided. Raises EmptyCart, NotFound, Invalid or MixedCurrencies."""
    from_cart = purchase.lines is None
    wanted = _add_up(_take_from_cart(session, purchase.user_id) if from_cart else purchase.lines or ())
    found = books.on_sale(session, wanted)
    order = _order(session, purchase, _items(wanted, found), _one_currency(found.values()), from_cart)
    status.enter(session, order, actor=str(purchase.user_id))
    outbox.record(
        session,
        OrderPlaced(
            order_id=order.id,
            user_id=order.user_id,
            number=order.number,
            lines=status.lines(order),
            total=order.total,
            currency=order.currency,
        ),
    )
    return order


def _take_from_cart(session: Session, user_id: UUID) -> Lines:
    """Empty the cart into an order; of two at once, the second finds nothing."""
    carts.lock(session, user_id)
    held = carts.contents(session, user_id)
    if not held:
        raise EmptyCart("There is nothing in the cart.")
    carts.empty(session, user_id)
    return held


def _add_up(lines: Lines) -> dict[UUID, int]:
    wanted: Counter[UUID] = Counter()
    for book_id, quantity in lines:
        wanted[book_id] += quantity
    if any(quantity > MAX_QUANTITY for quantity in wanted.values()):
        raise Invalid.field("items", f"at most {MAX_QUANTITY} of one book")
    return dict(wanted)


def _items(wanted: Mapping[UUID, int], found: Mapping[UUID, Book]) -> list[OrderItem]:
    return [
        OrderItem(
            position=position,
            book_id=book_id,
            title=found[book_id].title,
            quantity=quantity,
            unit_price=found[book_id].price,
            line_total=line_total(quantity, found[book_id].price),
        )
        for position, (book_id, quantity) in enumerate(wanted.items(), start=1)
    ]


def _one_currency(found: Iterable[Book]) -> str:
    currencies = {book.currency for book in found}
    if len(currencies) != 1:
        raise MixedCurrencies("One order cannot be in several currencies.")
    return currencies.pop()


def _order(session: Session, purchase: Purchase, items: list[OrderItem], currency: str, from_cart: bool) -> Order:
    sums = totals((item.quantity, item.unit_price) for item in items)
    order = Order(
        id=purchase.order_id,
        number=_next_number(session),
        user_id=purchase.user_id,
        status=Status.PENDING,
        from_cart=from_cart,
        subtotal=sums.subtotal,
        discount=sums.discount,
        shipping=sums.shipping,
        tax=sums.tax,
        total=sums.total,
        currency=currency,
        shipping_address=purchase.shipping_address,
        payment_ttl=purchase.payment_ttl,
        expires_at=utcnow() + purchase.decision_ttl,
        items=items,
    )
    session.add(order)
    session.flush()
    return order


def _next_number(session: Session) -> str:
    """For people to read out; unique, and not meant to be without gaps."""
    number = session.scalar(text("SELECT nextval('order_numbers')"))
    return f"{utcnow():%Y}-{number:06d}"
