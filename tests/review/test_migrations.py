"""What the migrations do to reviews that are there, and that every list is read along an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, text
from sqlalchemy.orm import Session

from common.db import Database
from common.ids import new_id
from common.migrations import downgrade, upgrade
from common.pagination import Sort
from common.provision import provision
from review_service.config import ReviewConfig
from review_service.domain import queue, views
from tests.support.database import environment, fresh_database

_OLD_REVIEW = text("""
    INSERT INTO reviews
        (id, book_id, user_id, rating, verified_purchase, helpful_count, version, created_at, updated_at)
    SELECT :id, :book, user_id, 4, true, 0, 1, now(), now() FROM reviewers
""")


def test_every_list_is_read_along_an_index(database: Database) -> None:
    """A page costs the same wherever it is, since it need not be sorted."""
    with database.read() as session:
        session.execute(text("SET enable_seqscan = off"))
        session.execute(text("SET enable_sort = off"))
        for sort in ("newest", "helpful", "rating"):
            for book_id in (None, new_id()):
                for viewer in (None, new_id()):
                    found = views.statement(viewer=viewer, book_id=book_id)
                    _assert_unsorted(session, found, views.order(sort))
        for status in (None, "hidden", "deleted"):
            for reported in (None, True):
                _assert_unsorted(session, queue.statement(status=status, reported=reported), queue.MOST_REPORTED)
        session.execute(text("RESET ALL"))


def test_reviews_of_so_many_stars_are_not_sought_among_all_of_a_book(database: Database) -> None:
    with database.read() as session:
        session.execute(text("SET enable_seqscan = off"))
        session.execute(text("SET enable_sort = off"))
        for sort in ("newest", "helpful", "rating"):
            plan = _assert_unsorted(session, views.statement(book_id=new_id(), rating=1), views.order(sort))
            assert "rating = 1)" in plan.partition("Index Cond")[2].partition("Filter")[0], plan
        plan = _assert_unsorted(session, queue.statement(book_id=new_id()), queue.MOST_REPORTED)
        assert "ix_reviews_queue_book_id" in plan
        session.execute(text("RESET ALL"))


def _assert_unsorted(session: Session, statement: Select[Any], order: Sequence[Sort]) -> str:
    first = statement.order_by(*(key.column.desc() for key in order)).limit(20)
    compiled = first.compile(session.connection(), compile_kwargs={"literal_binds": True})
    plan = "\n".join(session.scalars(text(f"EXPLAIN {compiled}".replace(":", "\\:"))))
    assert "Sort" not in plan, plan
    return plan


def test_reviews_of_before_moderation_are_visible_and_none_is_lost_on_the_way_back(
    admin_database_url: str,
) -> None:
    with fresh_database(admin_database_url) as url:
        config = ReviewConfig.from_env(environment(url, ReviewConfig.schema))
        provision(config, url)
        upgrade(config, "0001")
        database = Database(config)
        with database.transaction() as session:
            session.execute(text("INSERT INTO reviewers VALUES (:id, 'reader')"), {"id": new_id()})
            session.execute(_OLD_REVIEW, {"id": new_id(), "book": new_id()})
        upgrade(config)
        with database.transaction() as session:
            (row,) = session.execute(views.statement()).all()
            assert (row.contains_spoiler, row.hidden_at) == (False, None)
            session.execute(_OLD_REVIEW, {"id": new_id(), "book": new_id()})  # by the version that still serves
        downgrade(config, "0001")
        with database.read() as session:
            assert session.scalar(text("SELECT count(*) FROM reviews")) == 2
        database.close()
