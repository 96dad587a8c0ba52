"""The order service's own commands."""

from __future__ import annotations

from uuid import UUID

import click

from common.client import ServiceClient
from common.db import Database
from common.events.catalog import BookAdded
from common.telemetry import configure_logging
from order_service.config import OrderConfig
from order_service.domain import books

PAGE = 500


@click.group()
def rebuild() -> None:
    """Fetch a replica anew from the service that owns it."""


@rebuild.command("books")
def rebuild_books() -> None:
    """All books, while the store is used: a newer event that comes meanwhile is kept."""
    config = OrderConfig.from_env()
    configure_logging(config.service, config.log_level, config.log_format)
    database = Database(config)
    catalog = ServiceClient(config, config.catalog_url, scope="replicas:read")
    click.echo(f"{fetch_all(database, catalog)} books")
    database.close()


def fetch_all(database: Database, catalog: ServiceClient) -> int:
    """Store every book of the catalog, page by page; returns how many there are."""
    with database.read() as session:
        before = books.all_ids(session)
    seen: set[UUID] = set()
    cursor: str | None = None
    while True:
        page = catalog.get("/internal/books", {"limit": PAGE} | ({"cursor": cursor} if cursor else {}))
        states = [BookAdded.model_validate(each) for each in page["items"]]
        with database.transaction() as session:
            books.take_over(session, states)
        seen |= {state.book_id for state in states}
        cursor = page["next_cursor"]
        if cursor is None:
            break
    with database.transaction() as session:
        books.forget(session, before - seen)
    return len(seen)
