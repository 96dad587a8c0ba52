"""Asking the catalog about a book when its events have not told of it yet, or not the latest."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from flask import current_app

from common.client import ServiceClient
from common.db import current_database
from common.errors import NotFound, Unavailable
from common.events.catalog import BookAdded
from order_service.domain import books


def learn(book_ids: Iterable[UUID]) -> None:
    """Take these books into the replica if it lacks them: one made a moment ago can be bought at once.

    Raises Unavailable when the catalog cannot be asked. One that the catalog does not have stays unknown.
    """
    database = current_database()
    with database.read() as session:
        missing = books.unknown(session, book_ids)
    for book_id in missing:
        if state := _ask(book_id):
            with database.transaction() as session:
                books.take_over(session, [state])


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
        state = _ask(book_id)
    except Unavailable:
        return
    if state:
        with database.transaction() as session:
            books.take_over(session, [state])


def _ask(book_id: UUID) -> BookAdded | None:
    catalog: ServiceClient = current_app.extensions["catalog"]
    try:
        return BookAdded.model_validate(catalog.get(f"/internal/books/{book_id}"))
    except NotFound:
        return None
