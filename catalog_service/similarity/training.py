"""The training from end to end: learn from a sample, place all books, and write down what is near what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from catalog_service.models import Book, SimilarBooks, SimilarTerm, SimilarTraining
from catalog_service.similarity import texts
from catalog_service.similarity.nearest import nearest
from catalog_service.similarity.vectors import Placed, Space, place_all
from common.db import Database, utcnow

BATCH = 1_000


class Trained(NamedTuple):
    books: int
    with_neighbours: int
    terms: int


def train(database: Database, *, sample: int) -> Trained | None:
    """Learn from at most about `sample` books and find the neighbours of all; None when somebody else is at it."""
    with _alone(database) as alone:
        return _train(database, sample) if alone else None


@contextmanager
def _alone(database: Database) -> Iterator[bool]:
    """Whether this process has the one lock; the connection holds it, and no transaction."""
    key = "hashtext(current_schema() || '.train-similar')"
    with database.read() as session:
        alone = session.scalar(text(f"SELECT pg_try_advisory_lock({key})"))
        try:
            yield bool(alone)
        finally:
            if alone:
                session.execute(text(f"SELECT pg_advisory_unlock({key})"))


def _train(database: Database, sample: int) -> Trained:
    began = utcnow()
    with database.read() as session:
        books = session.scalar(select(func.count()).where(Book.__table__.c.is_active)) or 0
    trained = Trained(0, 0, 0)
    if books:
        share = min(1.0, sample / books)
        space = Space(book.tokens for batch in texts.batches(database, share) for book in batch)
        trained = _place_and_write(database, space, began)
    with database.transaction() as session:
        _finish(session, began, trained.books)
    return trained


def _place_and_write(database: Database, space: Space, began: datetime) -> Trained:
    placed = place_all(space, texts.batches(database))
    learnt = _Learnt(space, placed, nearest(placed, space), began)
    for start in range(0, len(placed), BATCH):
        with database.transaction() as session:
            _write_books(session, [learnt.book(row) for row in range(start, min(start + BATCH, len(placed)))])
    terms = list(learnt.terms())
    for start in range(0, len(terms), BATCH):
        with database.transaction() as session:
            _upsert(session, SimilarTerm, terms[start : start + BATCH])
    return Trained(len(placed), int((learnt.near[:, 0] >= 0).sum()), len(terms))


class _Learnt:
    """What was learnt, as the rows that are written."""

    def __init__(self, space: Space, placed: Placed, near: Any, began: datetime) -> None:
        self.near = near
        self._space, self._placed, self._began = space, placed, began
        self._is_word = np.array([not token.startswith("@") for token in space.tokens])

    def book(self, row: int) -> dict[str, Any]:
        held = self._placed.weights[row]
        words = self._is_word[held.indices]
        return {
            "book_id": self._placed.id(row),
            "neighbours": [self._placed.id(other) for other in self.near[row] if other >= 0],
            "terms": [self._space.tokens[column] for column in held.indices[words]],
            "weights": held.data[words].tolist(),
            "trained_at": self._began,
        }

    def terms(self) -> Iterator[dict[str, Any]]:
        books = np.bincount(self._placed.weights.indices, minlength=len(self._space.tokens))
        for column in np.flatnonzero(self._is_word & (books > 0)):
            term, weight = self._space.tokens[column], float(self._space.rarity[column])
            yield {"term": term, "weight": weight, "books": int(books[column]), "trained_at": self._began}


def _write_books(session: Session, rows: list[dict[str, Any]]) -> None:
    """Without those that were deleted for good in the meantime."""
    held = select(Book.id).where(Book.id.in_([row["book_id"] for row in rows])).with_for_update(key_share=True)
    there = set(session.scalars(held.order_by(Book.id)))
    _upsert(session, SimilarBooks, [row for row in rows if row["book_id"] in there])


def _upsert(session: Session, model: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        written = insert(model)
        anew = {column.name: column for column in written.excluded if not column.primary_key}
        key = list(model.__table__.primary_key)
        session.execute(written.on_conflict_do_update(index_elements=key, set_=anew), rows)


def _finish(session: Session, began: datetime, books: int) -> None:
    """What this training has not written is of an earlier one."""
    for model in (SimilarBooks, SimilarTerm):
        session.execute(delete(model).where(model.trained_at < began))
    _upsert(session, SimilarTraining, [{"id": True, "trained_at": began, "books": books}])
