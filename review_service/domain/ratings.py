"""A book's rating: kept as it changes, in the transaction of the review that changes it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import outbox
from common.events.reviews import BookRatingChanged
from review_service.models import STARS, BookRating

_RECOUNT = text("""
    WITH recount AS (
        SELECT book_id, ARRAY[count(*) FILTER (WHERE rating = 1), count(*) FILTER (WHERE rating = 2),
            count(*) FILTER (WHERE rating = 3), count(*) FILTER (WHERE rating = 4),
            count(*) FILTER (WHERE rating = 5)] AS counted
        FROM reviews WHERE deleted_at IS NULL GROUP BY book_id
    ), book_rating AS (
        SELECT book_id, ARRAY[stars_1, stars_2, stars_3, stars_4, stars_5]::bigint[] AS kept FROM book_ratings
    ), compared AS (
        SELECT book_id, COALESCE(kept, '{0,0,0,0,0}') AS kept, COALESCE(counted, '{0,0,0,0,0}') AS counted
        FROM recount FULL JOIN book_rating USING (book_id)
    )
    SELECT book_id, kept, counted FROM compared WHERE kept <> counted ORDER BY book_id
""")


def shift(session: Session, book_id: UUID, *, lost: int | None = None, gained: int | None = None) -> None:
    """Count a rating out, one in, or one instead of the other, and tell the others how the book now stands."""
    if lost == gained:
        return
    if gained:
        session.execute(insert(BookRating).values(book_id=book_id).on_conflict_do_nothing())
    changes = {stars: change for stars, change in ((lost, -1), (gained, 1)) if stars}
    values = {f"stars_{stars}": getattr(BookRating, f"stars_{stars}") + change for stars, change in changes.items()}
    version, count, total = session.execute(
        update(BookRating)
        .where(BookRating.book_id == book_id)
        .values(version=BookRating.version + 1, **values)
        .returning(BookRating.version, BookRating.review_count, BookRating.stars_total)
        .execution_options(synchronize_session=False)
    ).one()
    average = _average(total, count)
    outbox.record(session, BookRatingChanged(book_id=book_id, version=version, count=count, average=average))


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
