"""Many at once: what must hold whatever order the database takes them in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import permutations
from threading import Barrier
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import text

from common.db import Database
from common.events.administration import ReviewsAdminActed
from common.events.auth import UserErased
from common.events.reviews import BookRatingChanged
from common.ids import new_id
from review_service.domain import bursts, moderation, ratings, reviews
from review_service.events import HANDLERS
from tests.review.factories import buy, post, reviewed
from tests.support.database import deliver, emitted
from tests.support.tokens import bearer
from tests.support.waiting import eventually


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


def report_of(app: Flask, review: dict[str, Any], headers: dict[str, str]) -> Any:
    return app.test_client().post(f"/api/v1/reviews/{review['id']}/report", json={"reason": "Spam"}, headers=headers)


def moderate(app: Flask, review: dict[str, Any], verb: str) -> Any:
    path = f"/api/v1/admin/reviews/{review['id']}/{verb}"
    return app.test_client().post(path, json={"reason": "Abuse"}, headers=bearer(role="admin"))


def moderated(app: Flask, review: dict[str, Any]) -> dict[str, Any]:
    path = f"/api/v1/admin/reviews/{review['id']}"
    document: dict[str, Any] = app.test_client().get(path, headers=bearer(role="admin")).json
    return document


def acts(database: Database) -> Counter[str]:
    return Counter(event.action for event in emitted(database) if isinstance(event, ReviewsAdminActed))


def test_reports_at_once_are_all_counted_and_each_user_only_once(app: Flask, database: Database) -> None:
    review = reviewed(database, app.test_client(), new_id())
    reporters = [bearer() for _ in range(4)] * 3
    answers = at_once([partial(report_of, app, review, headers) for headers in reporters])
    assert {answer.status_code for answer in answers} == {204}
    assert moderated(app, review)["report_count"] == 4


def test_reports_while_the_staff_decide_are_either_closed_or_open(app: Flask, database: Database) -> None:
    review = reviewed(database, app.test_client(), new_id())
    reports = [partial(report_of, app, review, bearer()) for _ in range(6)]
    at_once([*reports, *[partial(moderate, app, review, "restore")] * 2])
    path = f"/api/v1/admin/reviews/{review['id']}/reports"
    items = app.test_client().get(path, headers=bearer(role="admin")).json["items"]
    assert len(items) == 6
    assert moderated(app, review)["report_count"] == sum(item["closed_at"] is None for item in items)


def test_of_many_moderators_who_hide_at_once_one_acts(app: Flask, database: Database) -> None:
    book = new_id()
    review = reviewed(database, app.test_client(), book)
    answers = at_once([partial(moderate, app, review, "hide")] * 5)
    assert {(answer.status_code, answer.json["status"]) for answer in answers} == {(200, "hidden")}
    assert acts(database) == {"review.hidden": 1}
    with database.read() as session:
        assert ratings.summary(session, book)["count"] == 0


def test_hiding_restoring_changing_voting_and_deleting_at_once_leave_the_rating_right(
    app: Flask, database: Database
) -> None:
    book = new_id()
    review = reviewed(database, app.test_client(), book)
    path, headers = f"/api/v1/reviews/{review['id']}", review["headers"]

    def patch(rating: int) -> Any:
        return app.test_client().patch(path, json={"rating": rating}, headers=headers)

    calls = [partial(patch, rating) for rating in (1, 2, 5)]
    calls += [partial(moderate, app, review, verb) for verb in ("hide", "restore", "hide")]
    calls += [partial(app.test_client().post, f"{path}/helpful", headers=bearer())]
    for last in ([], [partial(app.test_client().delete, path, headers=headers)]):
        answers = at_once([*calls, *last])
        assert {answer.status_code for answer in answers} <= {200, 204, 404}
        with database.read() as session:
            assert not ratings.disagreements(session)
    assert moderated(app, review)["status"] == "deleted"


def test_moderators_who_delete_the_same_in_different_orders_do_not_wait_for_each_other(
    app: Flask, database: Database
) -> None:
    books = [new_id() for _ in range(3)]
    found = [reviewed(database, app.test_client(), book)["id"] for book in books * 4]

    def delete(ids: list[str]) -> Any:
        body = {"ids": ids, "reason": "A campaign"}
        return app.test_client().post("/api/v1/admin/reviews/bulk-delete", json=body, headers=bearer(role="admin"))

    orders = [found, found[::-1], found[4:] + found[:4], found[::2]]
    answers = at_once([partial(delete, ids) for ids in orders])
    assert {answer.status_code for answer in answers} == {200}
    outcomes = Counter(result["outcome"] for answer in answers for result in answer.json["results"])
    assert outcomes["deleted"] == 12
    assert acts(database) == {"review.deleted": 12}
    with database.read() as session:
        assert not ratings.disagreements(session)


def test_moderators_who_delete_others_of_the_same_books_do_not_wait_for_each_other(
    app: Flask, database: Database
) -> None:
    books = [new_id() for _ in range(12)]
    forwards = [reviewed(database, app.test_client(), book)["id"] for book in books]
    backwards = [reviewed(database, app.test_client(), book)["id"] for book in reversed(books)]

    def delete(ids: list[str]) -> None:
        with database.transaction() as session:
            moderation.delete_all(session, [UUID(id) for id in ids], actor=new_id(), reason="A campaign")

    at_once([partial(delete, forwards), partial(delete, backwards)])
    assert acts(database) == {"review.deleted": 24}


def test_a_review_written_while_the_deleted_one_is_restored_is_the_only_one_or_is_not(
    app: Flask, database: Database
) -> None:
    for _ in range(4):
        book, user = new_id(), new_id()
        review = reviewed(database, app.test_client(), book, user=user)
        app.test_client().delete(f"/api/v1/reviews/{review['id']}", headers=bearer(role="admin"))
        calls = [partial(moderate, app, review, "restore"), partial(post, app.test_client(), book, user=user)]
        restored, written = at_once(calls)
        assert (restored.status_code, written.status_code) in {(200, 409), (409, 201)}
        with database.read() as session:
            assert ratings.summary(session, book)["count"] == 1
            assert not ratings.disagreements(session)


def test_people_who_judged_each_other_are_erased_at_once(app: Flask, database: Database) -> None:
    book, users = new_id(), [new_id() for _ in range(4)]
    written = {user: reviewed(database, app.test_client(), book, user=user) for user in users}
    for user, other in permutations(users, 2):
        headers = bearer(subject=user)
        app.test_client().post(f"/api/v1/reviews/{written[other]['id']}/helpful", headers=headers)
        report_of(app, written[other], headers)
    at_once([partial(deliver, database, HANDLERS, UserErased(user_id=user)) for user in users])
    with database.read() as session:
        assert not ratings.disagreements(session)
        assert ratings.summary(session, book)["count"] == 0


def test_a_review_written_while_its_writer_is_erased_is_counted_nowhere(app: Flask, database: Database) -> None:
    book, other, user = new_id(), new_id(), new_id()
    review = reviewed(database, app.test_client(), book, user=user)
    buy(database, user, other)
    with ThreadPoolExecutor(2) as pool:
        with database.transaction() as session:
            reviews.to_change(session, UUID(review["id"]))
            erased = pool.submit(deliver, database, HANDLERS, UserErased(user_id=user))
            eventually(lambda: somebody_waits(database))
            written = pool.submit(post, app.test_client(), other, user=user)
            eventually(lambda: written.done() or somebody_waits(database, 2))
        erased.result()
    assert written.result().json["code"] == "account_erased"
    assert app.test_client().get(f"/api/v1/reviews?user_id={user}").json["items"] == []
    with database.read() as session:
        assert not ratings.disagreements(session)


def test_a_purchase_that_is_told_while_its_buyer_writes_verifies_the_review(app: Flask, database: Database) -> None:
    book, user = new_id(), new_id()
    fields: dict[str, Any] = {"book_id": book, "user_id": user, "name": "reader", "content": {"rating": 4}}
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            reviews.create(session, **fields, require_purchase=False)
            told = pool.submit(buy, database, user, book)
            eventually(lambda: told.done() or somebody_waits(database))
        told.result()
    (review,) = app.test_client().get(f"/api/v1/reviews?user_id={user}").json["items"]
    assert review["verified_purchase"] is True


def test_a_repair_while_reviews_are_written_is_right(app: Flask, database: Database) -> None:
    book, users = new_id(), [new_id() for _ in range(6)]
    for user in users:
        buy(database, user, book)
    reviewed(database, app.test_client(), book)
    with database.transaction() as session:
        session.execute(text("UPDATE book_ratings SET stars_1 = 7"))

    def repair() -> None:
        with database.transaction() as session:
            ratings.repair(session, book)

    posts = [partial(post, app.test_client(), book, user=user, rating=2) for user in users]
    at_once([*posts, repair, repair])
    with database.read() as session:
        assert not ratings.disagreements(session)
        assert ratings.summary(session, book)["count"] == 7
    told = [event for event in emitted(database) if isinstance(event, BookRatingChanged)]
    assert max(told, key=lambda event: event.version).count == 7


def test_a_repair_waits_for_a_change_that_is_under_way(app: Flask, database: Database) -> None:
    book = new_id()
    review = reviewed(database, app.test_client(), book, rating=5)

    def repair() -> None:
        with database.transaction() as session:
            ratings.repair(session, book)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            reviews.change(session, reviews.to_change(session, UUID(review["id"])), {"rating": 1})
            repaired = pool.submit(repair)
            eventually(lambda: somebody_waits(database))
        repaired.result()
    with database.read() as session:
        assert not ratings.disagreements(session)


def somebody_waits(database: Database, number: int = 1) -> bool:
    with database.read() as session:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return (session.scalar(text(waiting)) or 0) >= number


def test_two_workers_note_a_burst_once(app: Flask, database: Database) -> None:
    book = new_id()
    for _ in range(3):
        reviewed(database, app.test_client(), book, rating=1)

    def watch() -> int:
        with database.transaction() as session:
            return bursts.watch(session, 3, 3600)

    assert at_once([watch] * 4) == [1] * 4
