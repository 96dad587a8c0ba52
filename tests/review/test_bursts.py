"""Many low ratings of one book in a short time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common.db import Database, utcnow
from common.ids import new_id
from review_service import timers
from review_service.config import ReviewConfig
from review_service.domain import bursts, reviews
from review_service.models import RatingAlert, Review
from tests.review.factories import reviewed, write
from tests.support.tokens import bearer

HOUR = 3600


def rate(session: Session, book: UUID, *ages: int, rating: int = 1) -> list[UUID]:
    """Reviews that were written so many minutes ago."""
    ids = [write(session, book, rating=rating) for _ in ages]
    for id, age in zip(ids, ages, strict=True):
        written = utcnow() - timedelta(minutes=age)
        session.execute(update(Review).where(Review.id == id).values(created_at=written))
    return ids


def alerts(session: Session) -> list[RatingAlert]:
    return list(session.scalars(select(RatingAlert).order_by(RatingAlert.started_at)))


def age(moment: datetime) -> int:
    return round((utcnow() - moment).total_seconds() / 60)


def test_a_burst_is_noted_once_and_grows(session: Session) -> None:
    book = new_id()
    rate(session, book, 30, 20)
    assert bursts.watch(session, 3, HOUR) == 0
    rate(session, book, 10, rating=2)
    for _ in range(2):
        assert bursts.watch(session, 3, HOUR) == 1
    (alert,) = alerts(session)
    assert (alert.book_id, alert.low_ratings, age(alert.started_at), age(alert.last_at)) == (book, 3, 30, 10)
    rate(session, book, 5, 1)
    assert bursts.watch(session, 3, HOUR) == 1
    (alert,) = alerts(session)
    assert (alert.low_ratings, age(alert.started_at), age(alert.last_at)) == (5, 30, 1)


def test_good_ratings_old_ones_and_those_of_other_books_make_none(session: Session) -> None:
    book = new_id()
    rate(session, book, 1, 2)
    rate(session, book, 1, 2, 3, rating=3)
    rate(session, book, 61, 70)
    rate(session, new_id(), 1, 2)
    assert bursts.watch(session, 3, HOUR) == 0
    assert alerts(session) == []


def test_a_rating_that_is_lowered_counts_and_one_that_was_deleted_does_not(session: Session) -> None:
    book = new_id()
    good, _bad, _worse = *rate(session, book, 1, rating=5), *rate(session, book, 2, 3)
    reviews.change(session, reviews.to_change(session, good), {"rating": 1})
    assert bursts.watch(session, 3, HOUR) == 1
    other = new_id()
    deleted, *_rest = rate(session, other, 1, 2, 3)
    reviews.delete(session, reviews.to_change(session, deleted), by=new_id())
    assert bursts.watch(session, 3, HOUR) == 1


def test_hiding_what_came_does_not_end_a_burst(session: Session) -> None:
    book = new_id()
    for id in rate(session, book, 3, 2, 1):
        reviews.hide(session, reviews.to_change(session, id), new_id(), "Campaign")
    assert bursts.watch(session, 3, HOUR) == 1


def test_after_a_pause_it_is_another_burst(session: Session) -> None:
    book = new_id()
    session.add(
        RatingAlert(
            book_id=book,
            low_ratings=3,
            started_at=utcnow() - timedelta(minutes=190),
            last_at=utcnow() - timedelta(minutes=90),
        )
    )
    rate(session, book, 3, 2, 1)
    assert bursts.watch(session, 3, HOUR) == 1
    assert [alert.low_ratings for alert in alerts(session)] == [3, 3]


def test_the_staff_see_alerts_and_the_worker_counts_them(
    database: Database, client: FlaskClient, config: ReviewConfig
) -> None:
    books = [new_id(), new_id()]
    for book in books:
        for _ in range(2):
            reviewed(database, client, book, rating=1)
    timers.watch_ratings(database, replace(config, burst_count=2))
    assert REGISTRY.get_sample_value("rating_bursts") == 2
    path, staff = "/api/v1/admin/reviews/alerts", bearer(role="admin")
    first = client.get(f"{path}?limit=1", headers=staff).json
    second = client.get(f"{path}?limit=1&cursor={first['next_cursor']}", headers=staff).json
    shown = first["items"] + second["items"]
    assert [(item["book_id"], item["low_ratings"]) for item in shown] == [(str(book), 2) for book in reversed(books)]
    assert second["next_cursor"] is None
    (one,) = client.get(f"{path}?book_id={books[0]}", headers=staff).json["items"]
    assert one == shown[1]
