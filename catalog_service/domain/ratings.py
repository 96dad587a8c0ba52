"""Ratings, as the review service counts them."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from catalog_service.models import Book


def take_over(session: Session, book_id: UUID, version: int, count: int, average: Decimal | None) -> None:
    """Show this rating, unless a later one is shown already.

    The book's version grows with it, since what a reader sees has changed; its revision does not, since nobody
    edited anything.
    """
    session.execute(
        update(Book)
        .where(Book.id == book_id, Book.rating_version < version)
        .values(rating_average=average, rating_count=count, rating_version=version, version=Book.version + 1)
        .execution_options(synchronize_session=False)
    )
