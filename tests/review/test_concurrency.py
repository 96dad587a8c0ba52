"""Many at once: what must hold whatever order the database takes them in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

from flask import Flask

from common.db import Database
from common.events.reviews import BookRatingChanged
from common.ids import new_id
from review_service.domain import ratings
from tests.review.factories import buy, post, reviewed
from tests.support.database import emitted
from tests.support.tokens import bearer


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """The answers to all calls, which begin together."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_many_reviews_of_a_book_at_once_add_up(app: Flask, database: Database) -> None:
    book = new_id()
    users = [new_id() for _ in range(16)]
    for user in users:
        buy(database, user, book)
    stars = [1 + number % 5 for number in range(16)]
    answers = at_once(
        [
            partial(post, app.test_client(), book, user=user, rating=rating)
            for user, rating in zip(users, stars, strict=True)
        ]
    )
    assert {answer.status_code for answer in answers} == {201}
    with database.read() as session:
        assert not ratings.disagreements(session)
        assert ratings.summary(session, book)["count"] == 16
    told = [event for event in emitted(database) if isinstance(event, BookRatingChanged)]
    latest = max(told, key=lambda event: event.version)
    assert sorted(event.version for event in told) == list(range(1, 17))
    assert (latest.count, float(latest.average or 0)) == (16, round(sum(stars) / 16, 2))


def test_one_reader_posting_twice_at_once_has_one_review(app: Flask, database: Database) -> None:
    book, user = new_id(), new_id()
    buy(database, user, book)
    answers = at_once([lambda: post(app.test_client(), book, user=user)] * 6)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 5}
    assert {answer.json["code"] for answer in answers if answer.status_code == 409} == {"already_reviewed"}
    with database.read() as session:
        assert ratings.summary(session, book)["count"] == 1


def test_changes_and_a_deletion_at_once_leave_the_rating_right(app: Flask, database: Database) -> None:
    book = new_id()
    review = reviewed(database, app.test_client(), book)
    path, headers = f"/api/v1/reviews/{review['id']}", review["headers"]

    def patch(rating: int) -> Any:
        return app.test_client().patch(path, json={"rating": rating}, headers=headers)

    changes = [partial(patch, rating) for rating in (1, 2, 3, 5, 1, 2)]
    answers = at_once([*changes, lambda: app.test_client().delete(path, headers=headers)])
    assert {answer.status_code for answer in answers} <= {200, 204, 404}
    with database.read() as session:
        assert not ratings.disagreements(session)
        assert ratings.summary(session, book)["count"] == 0


def test_of_two_changes_of_the_same_version_one_is_refused(app: Flask, database: Database) -> None:
    review = reviewed(database, app.test_client(), new_id())
    headers = review["headers"] | {"If-Match": review["etag"]}

    def patch(title: str) -> Any:
        path = f"/api/v1/reviews/{review['id']}"
        return app.test_client().patch(path, json={"title": title}, headers=headers)

    answers = at_once([partial(patch, title) for title in ("a", "b", "c", "d")])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 3}


def test_votes_at_once_are_all_counted_and_each_only_once(app: Flask, database: Database) -> None:
    review = reviewed(database, app.test_client(), new_id())
    path = f"/api/v1/reviews/{review['id']}"
    voters = [bearer() for _ in range(5)] * 2
    at_once([partial(app.test_client().post, f"{path}/helpful", headers=headers) for headers in voters])
    assert app.test_client().get(path).json["helpful_count"] == 5
