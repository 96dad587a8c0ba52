"""Wish lists: books that somebody means to buy some day."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import utcnow
from common.errors import Conflict, NotFound
from common.ids import new_id
from order_service.domain import books
from order_service.models import Book, Wish

MOST = 1000

_WISH, _BOOK = Wish.__table__.c, Book.__table__.c
ENTRIES: Select[Any] = select(
    _WISH.id,
    _WISH.book_id,
    _WISH.added_at,
    _BOOK.title,
    _BOOK.price,
    _BOOK.currency,
    _BOOK.available,
    _BOOK.is_active,
).join_from(Wish, Book, _BOOK.book_id == _WISH.book_id, isouter=True)


class WishListFull(Conflict):
    code = "wishlist_full"


def add(session: Session, user_id: UUID, book_id: UUID) -> bool:
    """Whether it was not on the list yet. Raises NotFound or WishListFull."""
    books.on_sale(session, [book_id])
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:user, 3))"), {"user": str(user_id)})
    if _has(session, user_id, book_id):
        return False
    if (session.scalar(select(func.count()).select_from(Wish).where(Wish.user_id == user_id)) or 0) >= MOST:
        raise WishListFull(f"A wish list holds at most {MOST} books.")
    session.execute(insert(Wish).values(id=new_id(), user_id=user_id, book_id=book_id, added_at=utcnow()))
    return True


def entry(session: Session, user_id: UUID, book_id: UUID) -> dict[str, Any]:
    found = session.execute(ENTRIES.where(_WISH.user_id == user_id, _WISH.book_id == book_id)).one()
    return shown(found)


def remove(session: Session, user_id: UUID, book_id: UUID) -> None:
    """Raises NotFound."""
    gone = delete(Wish).where(Wish.user_id == user_id, Wish.book_id == book_id).returning(Wish.id)
    if session.scalar(gone) is None:
        raise NotFound("This book is not on your wish list.")


def shown(row: Any) -> dict[str, Any]:
    """With today's price; of a book that is not on sale any more, its name."""
    on_sale = bool(row.is_active)
    return {
        "book_id": row.book_id,
        "title": row.title,
        "price": row.price if on_sale else None,
        "currency": row.currency if on_sale else None,
        "on_sale": on_sale,
        "in_stock": on_sale and row.available > 0,
        "added_at": row.added_at,
    }


def _has(session: Session, user_id: UUID, book_id: UUID) -> bool:
    held = select(Wish.id).where(Wish.user_id == user_id, Wish.book_id == book_id)
    return session.scalar(held) is not None


def has(session: Session, user_id: UUID, book_id: UUID) -> bool:
    return bool(session.scalar(select(exists().where(Wish.user_id == user_id, Wish.book_id == book_id))))
