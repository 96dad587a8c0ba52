"""Ratings, as the review service counts them.

Two sources write them: events, and a rebuild of the whole. Both go by the version that the review service gave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from catalog_service.models import Book
from common.db import Database


class Rating(BaseModel):
    """A book's rating over all its visible reviews, and how often it has changed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    book_id: UUID
    version: int
    count: int
    average: Decimal | None


def take_over(session: Session, rating: Rating) -> None:
    """Show this rating, unless a later one is shown already.

    The book's version grows with it, since what a reader sees has changed; its revision does not, since nobody
    edited anything.
    """
    _show(session, rating, Book.rating_version < rating.version)


def rebuild(database: Database, pages: Iterable[list[Rating]]) -> tuple[int, int]:
    """Show the ratings of the review service's `pages`; returns how many there are and how many differed.

    Page by page, each in a transaction of its own: events are handled meanwhile, and what they tell is later than
    its page or already in it. A rating that was shown before the first page and is on none is taken away.
    """
    with database.read() as reader:
        shown = select(Book.id, Book.rating_version).where(Book.rating_version > 0)
        before = {row.id: row.rating_version for row in reader.execute(shown)}
    known = differed = 0
    for page in pages:
        with database.transaction() as session:
            differed += sum(_repair(session, rating) for rating in sorted(page, key=lambda each: each.book_id))
        known += len(page)
        for rating in page:
            before.pop(rating.book_id, None)
    with database.transaction() as session:
        differed += _take_away(session, before)
    return known, differed


def _repair(session: Session, rating: Rating) -> bool:
    """As `take_over`, and what the same version says counts against what is shown."""
    shown_wrong = or_(
        Book.rating_version < rating.version,
        Book.rating_count != rating.count,
        Book.rating_average.is_distinct_from(rating.average),
    )
    return _show(session, rating, Book.rating_version <= rating.version, shown_wrong)


def _take_away(session: Session, gone: Mapping[UUID, int]) -> int:
    """Unless an event has told of one since."""
    return sum(
        _show(session, Rating(book_id=id, version=0, count=0, average=None), Book.rating_version == version)
        for id, version in sorted(gone.items())
    )


def _show(session: Session, rating: Rating, *conditions: ColumnElement[bool]) -> bool:
    statement: Any = (
        update(Book)
        .where(Book.id == rating.book_id, *conditions)
        .values(
            rating_average=rating.average,
            rating_count=rating.count,
            rating_version=rating.version,
            version=Book.version + 1,
        )
        .returning(Book.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(statement) is not None
