"""The catalog's own commands."""

from __future__ import annotations

import click

from catalog_service.config import CatalogConfig
from catalog_service.domain import stock
from common.db import Database


@click.command("check-ledger")
def check_ledger() -> None:
    """Compare every book's stock with the sums of its ledger; ends with 1 when one disagrees."""
    database = Database(CatalogConfig.from_env())
    with database.read() as session:
        wrong = stock.disagreements(session)
    database.close()
    for book in wrong:
        click.echo(
            f"{book['code']}: on_hand {book['on_hand']} (ledger {book['ledger_on_hand']}), "
            f"reserved {book['reserved']} (ledger {book['ledger_reserved']}, held {book['held_by_orders']})"
        )
    click.echo(f"{len(wrong)} disagree with the ledger" if wrong else "every book agrees with its ledger")
    raise SystemExit(1 if wrong else 0)
