"""The catalog's own commands."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import UUID

import click
from tqdm import tqdm

from catalog_service.config import CatalogConfig
from catalog_service.domain import bestsellers, exports, ratings, stock, stock_take
from catalog_service.domain.imports import jobs, rejected, undo
from catalog_service.domain.imports.draft import Problem
from catalog_service.domain.imports.formats import FORMATS, by_suffix, recognised
from catalog_service.domain.imports.reading import FileRefused
from catalog_service.domain.imports.run import Import, Result
from catalog_service.domain.search import Filters
from catalog_service.models import Contact, ImportJob
from catalog_service.peers import Orders, Reviews
from common import contacts
from common.cli import Service, open_database
from common.client import ServiceClient
from common.db import Database
from common.errors import DomainError, Invalid

OPERATOR = "operator"
BATCH = 500
GENTLE = 10
FORMAT = click.option("--format", "format_name", type=click.Choice(sorted(FORMATS)), help="Else told by the file.")
_path = click.Path(dir_okay=False, path_type=Path)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@FORMAT
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@click.option("--bad-rows", type=_path, help="Where to write the rows that were rejected, to be repaired.")
def import_books(file: Path, format_name: str | None, dry_run: bool, bad_rows: Path | None) -> None:
    """Import books from CSV (our own columns, or those of goodbooks-10k), ONIX 3 or MARC 21."""
    config, format = _settings(), format_name or _known(recognised(file), file)
    with open_database(config) as database:
        with database.transaction() as session:
            kind: dict[str, Any] = {"format": format, "dry_run": dry_run, "actor": OPERATOR}
            job = jobs.begin_here(session, filename=file.name[:255], size=file.stat().st_size, **kind)
        with _progress(file) as bar, file.open("rb") as opened:
            done = _run(database, config, job, opened, bar)
        if bad_rows and done.rejected:
            bad_rows.write_bytes(b"".join(rejected.as_file(database.read, done)))
    click.echo(
        f"{'dry run: ' if dry_run else ''}{done.rows} rows: {done.created} created, {done.updated} updated, "
        f"{done.unchanged} unchanged, {done.rejected} rejected, {done.warnings} warnings"
    )
    if done.failure:
        raise click.ClickException(done.failure)
    click.echo(f"import {job.id}")


def _run(database: Database, config: CatalogConfig, job: jobs.Job, file: BinaryIO, bar: Any) -> ImportJob:
    """To its end, whatever that is; a bad file is a failure that is written down."""
    importing = Import(database.transaction, config.currency, on_batch=_say, most_rejected=config.import_rejected_limit)
    failure = None

    def count(size: int) -> None:
        importing.count_read(size)
        bar.update(size)

    try:
        importing.run(job, FORMATS[job.format].reader(file, count))
    except FileRefused as refused:
        failure = str(refused)
    except jobs.ClaimLost:
        raise click.ClickException("The import was cancelled; what went in already can be undone.") from None
    with database.transaction() as session:
        return jobs.finish(session, job, failure=failure)


def _say(result: Result) -> None:
    for problem in result.problems:
        tqdm.write(_line(problem))


def _line(problem: Problem) -> str:
    kind = "rejected" if problem.is_fatal else "warning"
    return f"row {problem.row}: {kind}: {f'{problem.field}: ' if problem.field else ''}{problem.message}"


def _progress(file: Path) -> Any:
    return tqdm(total=file.stat().st_size, unit="B", unit_scale=True, desc=file.name)


def _known(format: str | None, file: Path) -> str:
    if format is None:
        raise click.UsageError(f"{file.name} does not tell its format: name it with --format")
    return format


@click.command("export")
@click.argument("file", type=_path)
@FORMAT
@click.option("--active-only", is_flag=True, help="Without the books that are off sale.")
def export_books(file: Path, format_name: str | None, active_only: bool) -> None:
    """Write all books to a file: CSV, ONIX 3 or MARC 21."""
    format = format_name or _known(by_suffix(file), file)
    chosen = exports.statement(Filters(), is_active=True if active_only else None)
    with open_database(_settings()) as database, file.open("wb") as opened, tqdm(unit="B", unit_scale=True) as bar:
        for piece in exports.stream(database.transaction(), chosen, format):
            opened.write(piece)
            bar.update(len(piece))


@click.command("undo-import")
@click.argument("import_id", type=click.UUID)
def undo_import(import_id: UUID) -> None:
    """Take an import back, as far as nothing was changed or sold since."""
    with open_database(_settings()) as database:
        try:
            with database.transaction() as session:
                undo.request(session, import_id, actor=OPERATOR)
                job = jobs.claim_here(session, import_id)
        except DomainError as error:
            raise click.ClickException(error.detail or error.code) from None
        undo.run(database.transaction, job)
        with database.read() as session:
            done = jobs.find(session, import_id)
            click.echo(f"{done.restored} restored, {done.withdrawn} off sale again, {done.kept} kept as they are")
            for row in session.execute(undo.kept(import_id)):
                click.echo(f"{row.code}: {row.undo_reason}")


@click.command("check-ledger")
def check_ledger() -> None:
    """Compare every book's stock with the sums of its ledger; ends with 1 when one disagrees."""
    with open_database(_settings()) as database, database.read() as session:
        wrong = stock.disagreements(session)
    for book in wrong:
        click.echo(
            f"{book['code']}: on_hand {book['on_hand']} (ledger {book['ledger_on_hand']}), "
            f"reserved {book['reserved']} (ledger {book['ledger_reserved']}, held {book['held_by_orders']})"
        )
    click.echo(f"{len(wrong)} disagree with the ledger" if wrong else "every book agrees with its ledger")
    raise SystemExit(1 if wrong else 0)


@click.command("stock-take")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", default="stock take", help="Goes into the ledger.")
@click.option("--dry-run", is_flag=True, help="Show the differences, and change nothing.")
def take_stock(file: Path, reason: str, dry_run: bool) -> None:
    """Correct the stock by a CSV file with the columns on_hand and code or isbn."""
    outcome = stock_take.Outcome()
    with open_database(_settings()) as database, file.open(encoding="utf-8-sig", newline="") as opened:
        try:
            found = stock_take.read(opened)
            while rows := list(islice(found, BATCH)):
                with database.transaction() as session:
                    stock_take.take(session, rows, outcome, actor="stock-take", reason=reason, dry_run=dry_run)
        except (Invalid, UnicodeDecodeError) as error:
            raise click.ClickException(_what_is_wrong(error)) from None
    for each in outcome.differences:
        click.echo(f"row {each.row}: {each.code}: {each.before} -> {each.counted} ({each.difference:+})")
    for refused in outcome.errors:
        click.echo(f"row {refused.row}: refused: {refused.message}")
    click.echo(
        f"{'dry run: ' if dry_run else ''}{outcome.rows} rows: {len(outcome.differences)} corrected, "
        f"{outcome.unchanged} unchanged, {len(outcome.errors)} refused"
    )


@click.command("train-similar")
@click.option("--gently", is_flag=True, help="Leave the processor to whoever else wants it.")
def train_similar(gently: bool) -> None:
    """Find for each book the books that are like it, as the worker does when enough has changed."""
    config = _settings()
    os.nice(GENTLE if gently else 0)
    from catalog_service.similarity.training import train  # noqa: PLC0415 - only this command needs scikit-learn

    direct = replace(config, database_url=config.database_direct_url or config.database_url, database_direct_url="")
    with open_database(direct) as database:  # the lock that keeps others from training is of the session
        trained = train(database, sample=config.similar_sample)
    if trained is None:
        raise click.ClickException("another training is under way")
    click.echo(f"{trained.books} books, {trained.with_neighbours} of them with books like them; {trained.terms} words")


def _what_is_wrong(error: Invalid | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "the file is not UTF-8"
    return "; ".join(f"{each['field']} {each['message']}" for each in error.extra["errors"])


@click.group("rebuild")
def rebuild() -> None:
    """Make a replica anew from its source, while the service runs."""


@rebuild.command("ratings")
def rebuild_ratings() -> None:
    """How books are rated, from the review service."""
    config = _settings()
    with open_database(config) as database:
        known, differed = ratings.rebuild(database, Reviews(config).ratings())
    click.echo(f"{known} ratings, {differed} were different here")


@rebuild.command("bestsellers")
def rebuild_bestsellers() -> None:
    """How many of each book were sold, from the order service and the stock ledger."""
    config = _settings()
    with open_database(config) as database:
        orders, differed = bestsellers.rebuild(database, Orders(config).sales())
    click.echo(f"{orders} paid orders, {differed} books had another figure")


@rebuild.command("contacts")
def rebuild_contacts() -> None:
    """How users are reached, from the auth service."""
    config = _settings()
    auth = ServiceClient(config, config.auth_url, scope=contacts.SCOPE)
    with open_database(config) as database:
        known = contacts.rebuild(database, Contact, auth)
    click.echo(f"{known} contacts")


def _settings() -> CatalogConfig:
    return cast(CatalogConfig, Service(package="catalog_service", config=CatalogConfig).settings())
