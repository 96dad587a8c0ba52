"""The rules of reviewing, without HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from common import outbox
from common.events.reviews import BookRatingChanged
from common.ids import new_id
from review_service.domain import moderation, purchases, ratings, reports, reviewers, reviews, votes
from review_service.domain.purchases import Bought
from review_service.domain.reviews import AlreadyReviewed, PurchaseRequired
from review_service.models import BookRating, HelpfulVote, Purchase, Review, Reviewer, ReviewReport
from tests.review.factories import write


def rating_events(session: Session) -> list[BookRatingChanged]:
    rows = session.execute(select(outbox.table.c.body).order_by(outbox.table.c.position)).scalars()
    return [BookRatingChanged.model_validate_json(body) for body in rows]


def test_only_a_buyer_may_review_where_that_is_required(session: Session) -> None:
    fields: dict[str, Any] = {"book_id": new_id(), "user_id": new_id(), "name": "x", "content": {"rating": 5}}
    with pytest.raises(PurchaseRequired):
        reviews.create(session, **fields, require_purchase=True)
    id = reviews.create(session, **fields, require_purchase=False)
    assert not session.get_one(Review, id).verified_purchase


def test_a_review_is_verified_once_its_writer_buys_the_book(session: Session) -> None:
    book, user = new_id(), new_id()
    id = reviews.create(session, book_id=book, user_id=user, name="x", content={"rating": 5}, require_purchase=False)
    reviews.delete(session, reviews.to_change(session, id), by=new_id())  # the staff may restore it
    purchases.withdraw(session, user, refunded := new_id(), [book])
    purchases.add(session, user, refunded, [book])
    reviews.verify(session, user)
    assert not _is_verified(session, id)
    purchases.add(session, user, new_id(), [book])
    reviews.verify(session, new_id())
    assert not _is_verified(session, id)
    reviews.verify(session, user)
    assert _is_verified(session, id)


def _is_verified(session: Session, id: UUID) -> bool:
    session.expire_all()
    return session.get_one(Review, id).verified_purchase


def test_a_second_review_of_the_same_book_is_refused_until_the_first_is_deleted(session: Session) -> None:
    book, user = new_id(), new_id()
    first = write(session, book, user=user)
    with pytest.raises(AlreadyReviewed):
        write(session, book, user=user)
    reviews.delete(session, reviews.to_change(session, first), by=user)
    assert write(session, book, user=user) != first


def test_the_rating_is_told_with_each_change_of_it_and_a_growing_version(session: Session) -> None:
    book = new_id()
    first = write(session, book, rating=5)
    write(session, book, rating=4)
    reviews.change(session, reviews.to_change(session, first), {"rating": 2})
    reviews.change(session, reviews.to_change(session, first), {"rating": 2, "title": "Only words"})
    reviews.delete(session, reviews.to_change(session, first), by=new_id())
    told = [(event.version, event.count, event.average and str(event.average)) for event in rating_events(session)]
    assert told == [(1, 1, "5.00"), (2, 2, "4.50"), (3, 2, "3.00"), (4, 1, "4.00")]


def test_a_rating_without_reviews_has_no_average(session: Session) -> None:
    book = new_id()
    reviews.delete(session, reviews.to_change(session, write(session, book)), by=new_id())
    assert rating_events(session)[-1].average is None
    assert ratings.summary(session, book)["count"] == 0


def test_an_average_is_rounded_half_up_to_two_places(session: Session) -> None:
    book = new_id()
    for stars in (5, 5, 5, 5, 5, 5, 5, 4):
        write(session, book, rating=stars)
    assert ratings.summary(session, book)["average"] == 4.88


Step = tuple[str, int, int, int]
VERBS = st.sampled_from(["write", "change", "delete", "hide", "show"])
STEPS = st.lists(st.tuples(VERBS, st.integers(0, 3), st.integers(0, 1), st.integers(1, 5)), max_size=25)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ratings_equal_a_recount_after_any_steps(session: Session, steps: list[Step]) -> None:
    books, users = [new_id(), new_id()], [new_id() for _ in range(4)]
    written: dict[tuple[UUID, UUID], tuple[UUID, int]] = {}
    hidden: set[tuple[UUID, UUID]] = set()  # kept when the review is deleted: the next one is hidden too
    for what, who, which, stars in steps:
        key = (users[who], books[which])
        if what == "write" and key not in written:
            written[key] = write(session, key[1], user=key[0], rating=stars), stars
        elif what == "change" and key in written:
            reviews.change(session, reviews.to_change(session, written[key][0]), {"rating": stars})
            written[key] = written[key][0], stars
        elif what == "delete" and key in written:
            reviews.delete(session, reviews.to_change(session, written.pop(key)[0]), by=key[0])
        elif what == "hide" and key in written:
            moderation.hide(session, reviews.to_change(session, written[key][0]), actor=new_id(), reason="Abuse")
            hidden.add(key)
        elif what == "show" and key in written:
            moderation.restore(session, reviews.to_change(session, written[key][0]), actor=new_id(), reason=None)
            hidden.discard(key)
    assert not ratings.disagreements(session)
    for book in books:
        expected = [stars for key, (_, stars) in written.items() if key[1] == book and key not in hidden]
        histogram = ratings.summary(session, book)["histogram"]
        assert histogram == {str(stars): expected.count(stars) for stars in range(1, 6)}


def test_a_recount_finds_a_rating_that_is_wrong(session: Session) -> None:
    book = new_id()
    write(session, book, rating=3)
    session.execute(text("UPDATE book_ratings SET stars_5 = 1"))
    (found,) = ratings.disagreements(session)
    assert (found.book_id, found.kept, found.counted) == (book, [0, 0, 1, 0, 1], [0, 0, 1, 0, 0])


def test_a_repair_makes_a_rating_right_and_tells_it(session: Session) -> None:
    book, unknown = new_id(), new_id()
    for stars in (3, 5):
        write(session, book, rating=stars)
    reviews.hide(session, reviews.to_change(session, write(session, book, rating=1)), new_id(), "Abuse")
    session.execute(text("UPDATE book_ratings SET stars_5 = 0, stars_1 = 9"))
    for id in (book, unknown):
        ratings.repair(session, id)
    assert not ratings.disagreements(session)
    (*_, repaired, empty) = rating_events(session)
    assert (repaired.version, repaired.count, str(repaired.average)) == (5, 2, "4.00")
    assert (empty.version, empty.count, empty.average) == (1, 0, None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reviews SET rating = 6",
        "UPDATE reviews SET helpful_count = -1",
        "UPDATE reviews SET report_count = -1",
        "UPDATE reviews SET hidden_at = now()",
        "UPDATE book_ratings SET stars_4 = -1",
    ],
)
def test_the_database_itself_refuses_what_must_never_be(session: Session, statement: str) -> None:
    write(session, new_id())
    with pytest.raises(IntegrityError):
        session.execute(text(statement))


def test_a_refunded_purchase_is_none_and_a_late_payment_does_not_bring_it_back(session: Session) -> None:
    user, book, order = new_id(), new_id(), new_id()
    purchases.withdraw(session, user, order, [book])
    purchases.add(session, user, order, [book])
    assert not purchases.has_bought(session, user, book)


def test_one_of_two_orders_refunded_leaves_a_buyer(session: Session) -> None:
    user, book, first, second = new_id(), new_id(), new_id(), new_id()
    for order in (first, second):
        purchases.add(session, user, order, [book])
    purchases.withdraw(session, user, first, [book])
    assert purchases.has_bought(session, user, book)


def test_what_an_event_has_told_since_the_question_counts_more_than_the_answer(session: Session) -> None:
    bought = Bought(user_id=new_id(), book_id=new_id(), order_id=new_id())
    asked_at = purchases.moment(session) - timedelta(minutes=1)
    purchases.withdraw(session, bought.user_id, bought.order_id, [bought.book_id])
    purchases.learn(session, [bought], asked_at)
    assert not purchases.has_bought(session, bought.user_id, bought.book_id)
    purchases.learn(session, [bought], purchases.moment(session))
    assert purchases.has_bought(session, bought.user_id, bought.book_id)


def test_a_token_older_than_a_renaming_does_not_bring_the_old_name_back(session: Session) -> None:
    user = new_id()
    reviewers.rename(session, user, "new")
    reviewers.introduce(session, user, "old")
    assert session.get_one(Reviewer, user).name == "new"


def test_erasing_a_person_leaves_nothing_of_them_and_ratings_right(session: Session) -> None:
    user, book, kept = new_id(), new_id(), new_id()
    deleted = write(session, book, user=user)
    reviews.delete(session, reviews.to_change(session, deleted), by=user)
    write(session, book, user=user, rating=1)
    others = write(session, kept)
    votes.vote(session, reviews.to_change(session, others), user)
    reports.report(session, reviews.to_change(session, others), user, "Spam")
    session.flush()
    reviewers.erase(session, user)
    session.expire_all()
    for table in (Review, Purchase, HelpfulVote, ReviewReport, Reviewer):
        assert not session.scalar(select(func.count()).select_from(table).where(table.user_id == user))
    kept_review = session.get_one(Review, others)
    assert (kept_review.helpful_count, kept_review.report_count) == (0, 0)
    assert session.get_one(BookRating, book).review_count == 0
    assert rating_events(session)[-1].count == 0
    assert not ratings.disagreements(session)
