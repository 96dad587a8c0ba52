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
from order_service.domain import books, carts, pricing, promotions, status
from order_service.domain.carts import MAX_QUANTITY
from order_service.domain.pricing import Price
from order_service.domain.totals import line_total
from order_service.models import Book, Order, OrderItem, Promotion, Status

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
    shipping_method: str | None
    promotion_code: str | None
    decision_ttl: timedelta
    payment_ttl: timedelta


def place(session: Session, purchase: Purchase) -> Order:
    """The order, PENDING until the catalog has decided.

    Raises EmptyCart, NotFound, Invalid, MixedCurrencies or PromotionRefused. A promotion is locked before the cart,
    as it is when an order ends.
    """
    code = purchase.promotion_code
    promotion = promotions.lock(session, code, purchase.user_id) if code else None
    from_cart = purchase.lines is None
    wanted = _add_up(_take_from_cart(session, purchase.user_id) if from_cart else purchase.lines or ())
    found = books.on_sale(session, wanted)
    order = _order(
        session,
        purchase,
        _items(wanted, found),
        _one_currency(found.values()),
        from_cart=from_cart,
        promotion=promotion,
    )
    if promotion:
        promotions.use(session, promotion, order.id, order.user_id)
    status.enter(session, order, actor=str(purchase.user_id))
    outbox.record(session, status.placed(order))
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
            unit_cost=found[book_id].cost_price,
        )
        for position, (book_id, quantity) in enumerate(wanted.items(), start=1)
    ]


def _one_currency(found: Iterable[Book]) -> str:
    currencies = {book.currency for book in found}
    if len(currencies) != 1:
        raise MixedCurrencies("One order cannot be in several currencies.")
    return currencies.pop()


def quote(session: Session, purchase: Purchase) -> tuple[Price, str]:
    """What an order would cost now, with its currency; nothing is placed. Raises as `place`."""
    code = purchase.promotion_code
    promotion = promotions.look(session, code, purchase.user_id) if code else None
    held = carts.contents(session, purchase.user_id) if purchase.lines is None else purchase.lines
    if not held:
        raise EmptyCart("There is nothing in the cart.")
    wanted = _add_up(held)
    found = books.on_sale(session, wanted)
    return _price(session, purchase, _items(wanted, found), promotion), _one_currency(found.values())


def _price(session: Session, purchase: Purchase, items: list[OrderItem], promotion: Promotion | None) -> Price:
    address = purchase.shipping_address
    return pricing.price(
        session,
        [(item.quantity, item.unit_price) for item in items],
        country=address["country"] if address else None,
        method=purchase.shipping_method,
        promotion=promotion,
    )


def _order(
    session: Session,
    purchase: Purchase,
    items: list[OrderItem],
    currency: str,
    *,
    from_cart: bool,
    promotion: Promotion | None,
) -> Order:
    price = _price(session, purchase, items, promotion)
    sums = price.sums
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
        tax_rate=price.tax_rate,
        tax_included=sums.tax_included,
        total=sums.total,
        currency=currency,
        shipping_address=purchase.shipping_address,
        shipping_method=price.shipping_method,
        promotion_code=promotion.code if promotion else None,
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
