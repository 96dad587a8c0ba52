"""Asking the catalog about a book that its events have not told of yet."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from flask import current_app

from common.client import ServiceClient
from common.db import current_database
from common.errors import NotFound
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


def _ask(book_id: UUID) -> BookAdded | None:
    catalog: ServiceClient = current_app.extensions["catalog"]
    try:
        return BookAdded.model_validate(catalog.get(f"/internal/books/{book_id}"))
    except NotFound:
        return None
