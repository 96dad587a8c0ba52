"""The order service's own commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import click

from common import contacts
from common.cli import open_database
from common.client import ServiceClient
from common.db import Database, utcnow
from common.events.catalog import BookAdded
from common.telemetry import configure_logging
from order_service.config import OrderConfig
from order_service.domain import books, sales
from order_service.models import Customer
from order_service.payments import open_provider
from order_service.payments.reconciliation import Difference, differences, mended

PAGE = 500
RECONCILED = timedelta(days=7)


@click.command()
def stream() -> None:
    """Hold the live streams of those who follow their orders."""
    from common.web import WebServer  # noqa: PLC0415 - only this process needs gunicorn and gevent
    from order_service.stream import StreamConfig, create_app  # noqa: PLC0415

    config = StreamConfig.from_env()
    configure_logging(config.service, config.log_level, config.log_format)
    WebServer(config, create_app).run()


@click.group()
def rebuild() -> None:
    """Fetch a replica anew from the service that owns it."""


@rebuild.command("books")
def rebuild_books() -> None:
    """All books, while the store is used: a newer event that comes meanwhile is kept."""
    config = _settings()
    catalog = ServiceClient(config, config.catalog_url, scope="replicas:read")
    with open_database(config) as database:
        known = fetch_all(database, catalog)
    click.echo(f"{known} books")


@rebuild.command("sales")
def rebuild_sales() -> None:
    """The daily sums of sales, from the orders; best at a quiet hour, since what is paid meanwhile waits."""
    with open_database(_settings()) as database, database.transaction() as session:
        sales.recount(session)
    click.echo("counted again")


@click.command()
@click.option("--since", type=click.DateTime(), help="From when on (UTC); the last seven days when left out.")
@click.option("--fix", is_flag=True, help="Settle, carry refunds out and send back charges that are nobody's.")
def reconcile(since: datetime | None, fix: bool) -> None:
    """Compare our payments with the provider's; ends with 1 when they differ, or with --fix when they still do."""
    config = _settings()
    start = since.replace(tzinfo=UTC) if since else utcnow() - RECONCILED
    left = 0
    with open_database(config) as database:
        for difference in differences(database, open_provider(config, database), start):
            is_mended = fix and mended(difference)
            left += not is_mended
            click.echo(_line(difference) + ("  mended" if is_mended else ""))
    click.echo(f"{left} differences" if left else "our payments and the provider's agree")
    raise SystemExit(1 if left else 0)


def _line(found: Difference) -> str:
    ours, theirs = (f"{amount:>10}" if amount is not None else " " * 9 + "-" for amount in (found.ours, found.theirs))
    where = f"{found.payment:<36}  {found.reference or '-':<30}"
    return f"{found.kind:<16}  {where}  ours {ours}  theirs {theirs} {found.currency}"


def fetch_all(database: Database, catalog: ServiceClient) -> int:
    """Store every book of the catalog, page by page; returns how many there are."""
    with database.read() as session:
        before = books.all_ids(session)
    seen: set[UUID] = set()
    for items in catalog.pages("/internal/books", {"limit": PAGE}):
        states = [BookAdded.model_validate(each) for each in items]
        with database.transaction() as session:
            books.take_over(session, states)
        seen |= {state.book_id for state in states}
    with database.transaction() as session:
        books.forget(session, before - seen)
    return len(seen)


@rebuild.command("customers")
def rebuild_customers() -> None:
    """How everybody is reached, from the auth service."""
    config = _settings()
    auth = ServiceClient(config, config.auth_url, scope=contacts.SCOPE)
    with open_database(config) as database:
        known = contacts.rebuild(database, Customer, auth)
    click.echo(f"{known} customers")


def _settings() -> OrderConfig:
    config = OrderConfig.from_env()
    configure_logging(config.service, config.log_level, config.log_format)
    return config
