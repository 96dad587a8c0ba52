"""What the order service holds about a person: all of it on request, and its end. Orders stay, without a name."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, null, select, update
from sqlalchemy.orm import Session

from order_service.domain import invoices, letters, prebooks, views
from order_service.domain.purchases import NOBODY
from order_service.models import (
    Address,
    Cart,
    CartItem,
    Customer,
    HistoryEntry,
    IdempotencyKey,
    Order,
    Payment,
    Prebooking,
    PromotionUse,
    Refund,
    Wish,
)

ERASED = "erased"


def data(session: Session, user_id: UUID) -> dict[str, Any]:
    columns = Order.__table__.c
    found = session.execute(views.ORDERS.where(columns.user_id == user_id).order_by(columns.placed_at)).all()
    items = CartItem.__table__.c
    cart = select(items.book_id, items.quantity, items.unit_price, items.added_at).where(items.user_id == user_id)
    return {
        "orders": views.complete(session, [views.plain(row) for row in found]),
        "cart": [dict(row) for row in session.execute(cart.order_by(items.added_at)).mappings()],
        "mails": [row._asdict() for row in letters.written_to(session, user_id)],
        **{name: _rows(session, model, user_id) for name, model in _LISTED.items()},
    }


_LISTED = {"addresses": Address, "wishlist": Wish, "prebookings": Prebooking, "contact": Customer}


def _rows(session: Session, model: Any, user_id: UUID) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(_own(model.__table__, user_id)).mappings()]


def _own(table: Any, user_id: UUID) -> Select[Any]:
    return select(*(column for column in table.c if column.name != "user_id")).where(table.c.user_id == user_id)


def erase(session: Session, user_id: UUID) -> None:
    """Cart, address book, wishes, letters and kept answers go; of the orders goes all that tells whose they were."""
    session.execute(delete(Cart).where(Cart.user_id == user_id))
    prebooks.erase(session, user_id)
    for model in (Address, Wish, Customer):
        session.execute(delete(model).where(model.user_id == user_id))
    letters.erase(session, user_id)
    session.execute(update(PromotionUse).where(PromotionUse.user_id == user_id).values(user_id=NOBODY))
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.user_id == user_id))
    _forget_actor(session, user_id)
    orders = session.scalars(select(Order.id).where(Order.user_id == user_id).with_for_update()).all()
    invoices.forget_files(session, orders)
    session.execute(
        update(Order)
        .where(Order.user_id == user_id)
        .values(user_id=NOBODY, from_cart=False, shipping_address=null())
        .execution_options(synchronize_session=False)
    )


def _forget_actor(session: Session, user_id: UUID) -> None:
    """Neither that it was they who did something, nor in which words."""
    own = select(Order.id).where(Order.user_id == user_id)
    payments = select(Payment.id).where(Payment.order_id.in_(own))
    for model, of_orders in ((HistoryEntry, HistoryEntry.order_id.in_(own)), (Refund, Refund.payment_id.in_(payments))):
        session.execute(
            update(model)
            .where(of_orders, model.actor == str(user_id))
            .values(actor=ERASED, reason=None)
            .execution_options(synchronize_session=False)
        )
