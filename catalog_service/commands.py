"""The catalog's own commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import click
from tqdm import tqdm

from catalog_service.config import CatalogConfig
from catalog_service.domain import stock
from catalog_service.domain.imports.draft import Problem
from catalog_service.domain.imports.records import FileRefused, Records
from catalog_service.domain.imports.run import Import, Report
from common.cli import Service
from common.db import Database


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
def import_books(file: Path, dry_run: bool) -> None:
    """Import books from a CSV file: our own columns, or those of goodbooks-10k."""
    config = _settings()
    report = Report(on_problem=_say)
    with _database(config) as database, _progress(file) as bar, file.open("rb") as opened:
        job = Import(database.transaction, config.currency, actor="import", dry_run=dry_run)
        try:
            job.run(Records(opened, bar.update), report)
        except FileRefused as error:
            raise click.ClickException(str(error)) from None
    click.echo(
        f"{'dry run: ' if dry_run else ''}{report.rows} rows: {report.created} created, {report.updated} updated, "
        f"{report.unchanged} unchanged, {report.rejected} rejected, {report.warnings} warnings"
    )


def _say(problem: Problem) -> None:
    kind = "rejected" if problem.is_fatal else "warning"
    tqdm.write(f"row {problem.row}: {kind}: {f'{problem.field}: ' if problem.field else ''}{problem.message}")


def _progress(file: Path) -> Any:
    return tqdm(total=file.stat().st_size, unit="B", unit_scale=True, desc=file.name)


@click.command("check-ledger")
def check_ledger() -> None:
    """Compare every book's stock with the sums of its ledger; ends with 1 when one disagrees."""
    with _database(_settings()) as database, database.read() as session:
        wrong = stock.disagreements(session)
    for book in wrong:
        click.echo(
            f"{book['code']}: on_hand {book['on_hand']} (ledger {book['ledger_on_hand']}), "
            f"reserved {book['reserved']} (ledger {book['ledger_reserved']}, held {book['held_by_orders']})"
        )
    click.echo(f"{len(wrong)} disagree with the ledger" if wrong else "every book agrees with its ledger")
    raise SystemExit(1 if wrong else 0)


def _settings() -> CatalogConfig:
    return cast(CatalogConfig, Service(package="catalog_service", config=CatalogConfig).settings())


@contextmanager
def _database(config: CatalogConfig) -> Iterator[Database]:
    database = Database(config)
    try:
        yield database
    finally:
        database.close()
