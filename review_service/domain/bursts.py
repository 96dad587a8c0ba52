"""Bursts: many low ratings of one book in a short time, which the staff should look at before readers believe them."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import Session

from common.db import utcnow
from common.telemetry import get_logger
from review_service.models import RatingAlert, Review

LOW = 2
"""The highest rating that is low."""
log = get_logger(__name__)


def watch(session: Session, count: int, seconds: int) -> int:
    """Note the books that got `count` low ratings within the last `seconds`; returns how many bursts go on now.

    One that goes on makes the alert of its beginning grow. Two workers at once would both begin it: one waits.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.bursts'))"))
    since = utcnow() - timedelta(seconds=seconds)
    first, last = func.min(Review.created_at), func.max(Review.created_at)
    low = select(Review.book_id, first, last).where(*_low_since(since)).group_by(Review.book_id)
    for book_id, began, ended in session.execute(low.having(func.count() >= count).order_by(Review.book_id)).all():
        _note(session, book_id, began, ended)
    session.flush()
    return session.scalar(select(func.count()).select_from(RatingAlert).where(RatingAlert.last_at >= since)) or 0


def _note(session: Session, book_id: UUID, began: datetime, ended: datetime) -> None:
    latest = select(RatingAlert).where(RatingAlert.book_id == book_id).order_by(RatingAlert.last_at.desc()).limit(1)
    alert = session.scalar(latest)
    if alert is None or alert.last_at < began:
        alert = RatingAlert(book_id=book_id, started_at=began)
        session.add(alert)
        log.warning("rating_burst", book_id=str(book_id))
    alert.last_at = ended if alert.last_at is None else max(ended, alert.last_at)
    of_burst = (*_low_since(alert.started_at), Review.book_id == book_id, Review.created_at <= alert.last_at)
    with session.no_autoflush:
        alert.low_ratings = session.scalars(select(func.count()).select_from(Review).where(*of_burst)).one()


def _low_since(moment: datetime) -> tuple[ColumnElement[bool], ...]:
    """Hidden reviews too: a burst does not end because somebody began to clear it up."""
    return Review.created_at >= moment, Review.rating <= LOW, Review.deleted_at.is_(None)
