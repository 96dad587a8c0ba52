"""A book's rating: kept as it changes, in the transaction of the review that changes it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import outbox
from common.events.reviews import BookRatingChanged
from review_service.models import STARS, BookRating, Review

_COUNTED = (Review.deleted_at.is_(None), Review.hidden_at.is_(None))
_RECOUNT = text("""
    WITH recount AS (
        SELECT book_id, ARRAY[count(*) FILTER (WHERE rating = 1), count(*) FILTER (WHERE rating = 2),
            count(*) FILTER (WHERE rating = 3), count(*) FILTER (WHERE rating = 4),
            count(*) FILTER (WHERE rating = 5)] AS counted
        FROM reviews WHERE deleted_at IS NULL AND hidden_at IS NULL GROUP BY book_id
    ), book_rating AS (
        SELECT book_id, ARRAY[stars_1, stars_2, stars_3, stars_4, stars_5]::bigint[] AS kept FROM book_ratings
    ), compared AS (
        SELECT book_id, COALESCE(kept, '{0,0,0,0,0}') AS kept, COALESCE(counted, '{0,0,0,0,0}') AS counted
        FROM recount FULL JOIN book_rating USING (book_id)
    )
    SELECT book_id, kept, counted FROM compared WHERE kept <> counted ORDER BY book_id
""")


_rating = BookRating.__table__.c
STATES = select(_rating.book_id, _rating.version, _rating.review_count, _rating.stars_total)


def shift(session: Session, book_id: UUID, *, lost: int | None = None, gained: int | None = None) -> None:
    """Count a rating out, one in, or one instead of the other, and tell the others how the book now stands."""
    if lost == gained:
        return
    if gained:
        session.execute(insert(BookRating).values(book_id=book_id).on_conflict_do_nothing())
    changes = {stars: change for stars, change in ((lost, -1), (gained, 1)) if stars}
    _set(
        session,
        book_id,
        {f"stars_{stars}": getattr(BookRating, f"stars_{stars}") + change for stars, change in changes.items()},
    )


def _set(session: Session, book_id: UUID, values: dict[str, Any]) -> None:
    row = session.execute(
        update(BookRating)
        .where(BookRating.book_id == book_id)
        .values(version=BookRating.version + 1, **values)
        .returning(*STATES.selected_columns)
        .execution_options(synchronize_session=False)
    ).one()
    outbox.record(session, BookRatingChanged(**state(row)))


def state(row: Row[Any]) -> dict[str, Any]:
    """The members of BookRatingChanged, of a row of `STATES`."""
    average = _average(row.stars_total, row.review_count)
    return {"book_id": row.book_id, "version": row.version, "count": row.review_count, "average": average}


def lock_order(review: Review) -> tuple[UUID, UUID]:
    """In which to change the ratings of several reviews, so that no two who do so wait for each other."""
    return review.book_id, review.id


def repair(session: Session, book_id: UUID) -> None:
    """Recount a book's reviews and tell the others.

    Whoever changes the rating writes the review first and then the rating: with the rating locked, a review that is
    written but not yet counted is not seen here either, and is counted afterwards.
    """
    session.execute(insert(BookRating).values(book_id=book_id).on_conflict_do_nothing())
    session.execute(select(BookRating.version).where(BookRating.book_id == book_id).with_for_update())
    counted = select(Review.rating, func.count()).where(Review.book_id == book_id, *_COUNTED).group_by(Review.rating)
    found = dict(session.execute(counted).all())
    _set(session, book_id, {f"stars_{stars}": found.get(stars, 0) for stars in STARS})


def summary(session: Session, book_id: UUID) -> dict[str, Any]:
    """A book's `average`, `count` and `histogram`, which are empty for a book without reviews."""
    row = session.get(BookRating, book_id)
    average = _average(row.stars_total, row.review_count) if row else None
    return {
        "average": None if average is None else float(average),
        "count": row.review_count if row else 0,
        "histogram": {str(stars): getattr(row, f"stars_{stars}") if row else 0 for stars in STARS},
    }


def _average(total: int, count: int) -> Decimal | None:
    """To two places; None without ratings."""
    return (Decimal(total) / count).quantize(Decimal("0.01"), ROUND_HALF_UP) if count else None


def disagreements(session: Session) -> Sequence[Row[Any]]:
    """Books whose kept stars are not those of their reviews, in one statement and so at one moment."""
    return session.execute(_RECOUNT).all()
