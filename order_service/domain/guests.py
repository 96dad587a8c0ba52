"""Carts of people who have not signed in: known by the secret in their cookie, of which only the hash is kept."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from secrets import token_urlsafe
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from common.db import utcnow
from order_service.domain import carts
from order_service.domain.carts import MAX_QUANTITY, MAX_TITLES
from order_service.models import Cart, CartItem

KEPT_FOR = timedelta(days=30)
BATCH = 1000
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def new_secret() -> str:
    """256 bits, which nobody guesses."""
    return token_urlsafe(32)


def owner(secret: str | None) -> UUID | None:
    """The id under which a guest's cart is kept; None without a secret that could be ours."""
    if secret is None or not _SECRET.fullmatch(secret):
        return None
    digest = hashlib.sha256(b"guest cart:" + secret.encode()).digest()
    return UUID(bytes=digest[:16], version=5)


def merge(session: Session, guest_id: UUID, user_id: UUID) -> bool:
    """Give a user what they put in as a guest; False when some of it finds no room, and stays in the guest's cart.

    That cart is in use still. Of two requests at once, the second finds nothing.
    """
    held = select(Cart.user_id).where(Cart.user_id == guest_id, Cart.is_guest).with_for_update()
    if session.scalar(held) is None:
        return True
    carts.lock(session, user_id)
    _move(session, guest_id, user_id)
    if carts.count(session, guest_id) > 0:
        carts.lock(session, guest_id, is_guest=True)
        return False
    forget(session, guest_id)
    return True


def _move(session: Session, guest_id: UUID, user_id: UUID) -> None:
    present = {item.book_id: item for item in session.scalars(select(CartItem).where(CartItem.user_id == user_id))}
    left = MAX_TITLES - len(present)
    guests = select(CartItem).where(CartItem.user_id == guest_id).order_by(CartItem.added_at, CartItem.id)
    for item in session.scalars(guests).all():
        if mine := present.get(item.book_id):
            mine.quantity = min(MAX_QUANTITY, mine.quantity + item.quantity)
            session.delete(item)
        elif left > 0:
            item.user_id = user_id
            left -= 1
    session.flush()


def forget(session: Session, guest_id: UUID) -> None:
    """Remove a guest's cart, and what is in it."""
    session.execute(delete(Cart).where(Cart.user_id == guest_id, Cart.is_guest))


def prune(session: Session) -> None:
    """Forget a batch of guests' carts that were not used for as long as their cookie lasts."""
    old = select(Cart.user_id).where(Cart.is_guest, Cart.updated_at < utcnow() - KEPT_FOR).limit(BATCH)
    session.execute(delete(Cart).where(Cart.user_id.in_(old.with_for_update(skip_locked=True).scalar_subquery())))
