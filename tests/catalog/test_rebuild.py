"""Ratings and bestsellers made anew from their sources, while events go on."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from catalog_service.domain import bestsellers, ratings
from catalog_service.domain.ratings import Rating
from catalog_service.events import HANDLERS
from common.db import Database
from common.errors import Unavailable
from common.events.reviews import BookRatingChanged
from tests.catalog.test_stock_events import paid, placed, refunded
from tests.support.database import deliver


def rating(book, version=1, count=2, average="4.50"):
    return Rating(book_id=UUID(book["id"]), version=version, count=count, average=average and Decimal(average))


def tell(database: Database, known: Rating) -> None:
    deliver(database, HANDLERS, BookRatingChanged(**known.model_dump()))


@pytest.fixture
def shown(database):
    def read(book):
        statement = text("SELECT rating_count, rating_average, rating_version, version FROM books WHERE id = :id")
        with database.read() as session:
            return tuple(session.execute(statement, {"id": book["id"]}).one())

    return read


@pytest.fixture
def sold(database):
    def read(book):
        with database.read() as session:
            return session.scalar(text("SELECT units_sold FROM books WHERE id = :id"), {"id": book["id"]})

    return read


def spoil(database: Database, change: str) -> None:
    with database.transaction() as session:
        session.execute(text(f"UPDATE books SET {change}"))


def test_a_rebuild_of_ratings_brings_back_what_was_lost_and_nothing_else(database, add_book, shown):
    right, wrong, unrated = (add_book(title) for title in ("Emma", "Persuasion", "Sanditon"))
    for book in (right, wrong):
        tell(database, rating(book))
    before = shown(right)
    with database.transaction() as session:
        session.execute(text("UPDATE books SET rating_count = 9 WHERE id = :id"), {"id": wrong["id"]})
    assert ratings.rebuild(database, [[rating(right)], [rating(wrong)]]) == (2, 1)
    assert shown(right) == before
    assert shown(wrong)[:3] == (2, Decimal("4.50"), 1)
    assert shown(unrated)[:3] == (0, None, 0)


def test_a_rating_that_the_source_does_not_have_is_taken_away(database, add_book, shown):
    gone = add_book("Emma")
    tell(database, rating(gone, version=3))
    assert ratings.rebuild(database, []) == (0, 1)
    assert shown(gone)[:3] == (0, None, 0)


def test_what_events_tell_while_ratings_are_rebuilt_stays(database, add_book, shown):
    changed, new, late = (add_book(title) for title in ("Emma", "Persuasion", "Sanditon"))
    tell(database, rating(changed))
    tell(database, rating(late))

    def pages() -> Iterator[list[Rating]]:
        page = [rating(changed)]  # read before the next event
        tell(database, rating(changed, version=2, count=3, average="5.00"))
        yield page
        tell(database, rating(new, count=1, average="1.00"))
        tell(database, rating(late, version=2, count=1, average="2.00"))

    ratings.rebuild(database, pages())
    assert [shown(each)[:3] for each in (changed, new, late)] == [
        (3, Decimal("5.00"), 2),
        (1, Decimal("1.00"), 1),
        (1, Decimal("2.00"), 2),
    ]


def test_a_rebuild_that_breaks_off_takes_nothing_away(database, add_book, shown):
    book = add_book("Emma")
    tell(database, rating(book))

    def pages() -> Iterator[list[Rating]]:
        yield []
        raise Unavailable

    with pytest.raises(Unavailable):
        ratings.rebuild(database, pages())
    assert shown(book)[:3] == (2, Decimal("4.50"), 1)


def test_bestsellers_are_counted_anew_and_a_lost_sale_is_made_up_for_once(database, add_book, sold, stock_of):
    book = add_book("Emma", stock=10)
    known, lost, returned, unknown = (uuid4() for _ in range(4))
    for order in (known, lost, returned):
        deliver(database, HANDLERS, placed(order, (book["id"], 2)))
    for order in (known, returned):
        deliver(database, HANDLERS, paid(order, (book["id"], 2)))
    deliver(database, HANDLERS, refunded(returned, (book["id"], 2)))
    spoil(database, "units_sold = 77")
    assert bestsellers.rebuild(database, [[known, lost], [returned, unknown]]) == (4, 1)
    assert (sold(book), stock_of(book["id"])) == (6, (6, 0))
    deliver(database, HANDLERS, paid(lost, (book["id"], 2)))  # its event was only late
    assert bestsellers.rebuild(database, [[known, lost], [returned]]) == (3, 0)
    assert (sold(book), stock_of(book["id"])) == (6, (6, 0))


def test_what_is_sold_while_bestsellers_are_rebuilt_counts_once(database, add_book, sold):
    book = add_book("Emma", stock=10)
    first, second = uuid4(), uuid4()
    for order in (first, second):
        deliver(database, HANDLERS, placed(order, (book["id"], 1)))

    def pages() -> Iterator[list[UUID]]:
        yield [first]
        deliver(database, HANDLERS, paid(first, (book["id"], 1)))
        deliver(database, HANDLERS, paid(second, (book["id"], 1)))

    bestsellers.rebuild(database, pages())
    assert sold(book) == 2
