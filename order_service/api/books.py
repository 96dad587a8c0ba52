"""Asking the catalog about a book when its events have not told of it yet, or not the latest."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from flask import current_app

from common.client import ServiceClient
from common.db import current_database
from common.errors import Unavailable
from common.events.catalog import BookAdded
from order_service.domain import books

ASKED_AT_ONCE = 100
"""As many as the catalog takes."""


def learn(book_ids: Iterable[UUID]) -> None:
    """Take these books into the replica if it lacks them: one made a moment ago can be bought at once.

    Raises Unavailable when the catalog cannot be asked. One that the catalog does not have stays unknown.
    """
    database = current_database()
    with database.read() as session:
        missing = sorted(books.unknown(session, book_ids))
    for start in range(0, len(missing), ASKED_AT_ONCE):
        states = _ask(missing[start : start + ASKED_AT_ONCE])
        with database.transaction() as session:
            books.take_over(session, states)


def doubt_stock(book_id: UUID) -> None:
    """Ask the catalog whether there are still copies of a book of which the replica has some.

    For those who are sent away otherwise: the news that it is sold out may wait behind those of a large import. What
    the catalog cannot be asked about stays as it is.
    """
    database = current_database()
    with database.read() as session:
        if not books.in_stock(session, book_id):
            return
    try:
        states = _ask([book_id])
    except Unavailable:
        return
    with database.transaction() as session:
        books.take_over(session, states)


def _ask(book_ids: Iterable[UUID]) -> list[BookAdded]:
    """What the catalog knows of these, in the order of their ids."""
    catalog: ServiceClient = current_app.extensions["catalog"]
    page = catalog.get("/internal/books", {"id": [str(each) for each in book_ids]})
    return [BookAdded.model_validate(each) for each in page["items"]]
