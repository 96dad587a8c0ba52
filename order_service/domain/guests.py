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
from order_service.domain.carts import MAX_QUANTITY
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


def merge(session: Session, guest_id: UUID, user_id: UUID) -> None:
    """Give a user what they put in as a guest. Of two requests at once, the second finds nothing."""
    held = select(Cart.user_id).where(Cart.user_id == guest_id, Cart.is_guest).with_for_update()
    if session.scalar(held) is None:
        return
    carts.lock(session, user_id)
    present = {item.book_id: item for item in session.scalars(select(CartItem).where(CartItem.user_id == user_id))}
    for item in session.scalars(select(CartItem).where(CartItem.user_id == guest_id)).all():
        if mine := present.get(item.book_id):
            mine.quantity = min(MAX_QUANTITY, mine.quantity + item.quantity)
            session.delete(item)
        else:
            item.user_id = user_id
    session.flush()
    session.execute(delete(Cart).where(Cart.user_id == guest_id))


def prune(session: Session) -> None:
    """Forget a batch of guests' carts that are older than their cookie."""
    old = select(Cart.user_id).where(Cart.is_guest, Cart.updated_at < utcnow() - KEPT_FOR).limit(BATCH)
    session.execute(delete(Cart).where(Cart.user_id.in_(old.with_for_update(skip_locked=True).scalar_subquery())))
