"""The review service's own commands."""

from __future__ import annotations

from uuid import UUID

import click

from common.cli import open_database
from common.db import Database
from review_service.config import ReviewConfig
from review_service.domain import purchases, ratings, reviewers, reviews
from review_service.peers import Orders, Users


@click.group("rebuild")
def rebuild() -> None:
    """Make a replica anew from its source, while the service runs."""


@rebuild.command("purchases")
def rebuild_purchases() -> None:
    """Who bought what, from the order service."""
    config = ReviewConfig.from_env()
    with open_database(config) as database:
        known, withdrawn = purchases.rebuild(database, Orders(config).all_purchases())
        with database.transaction() as session:
            reviews.verify(session)
    click.echo(f"{known} purchases known, {withdrawn} withdrawn that the order service no longer has")


@rebuild.command("names")
def rebuild_names() -> None:
    """What reviewers are called, from the auth service."""
    config = ReviewConfig.from_env()
    with open_database(config) as database:
        known, differed = reviewers.rebuild(database, Users(config).names())
    click.echo(f"{known} names known, {differed} were different here")


@click.command("check-ratings")
@click.option("--fix", is_flag=True, help="Recount those that disagree, and tell the other services.")
def check_ratings(fix: bool) -> None:
    """Compare every book's rating, as it was told last, with a recount of its reviews; ends with 1 when one disagrees.

    A rating is told in the transaction that changes it, so what is kept is what was told.
    """
    database = Database(ReviewConfig.from_env())
    with database.read() as session:
        wrong = ratings.disagreements(session)
    for row in wrong:
        click.echo(f"{row.book_id}: stars {row.kept}, recounted {row.counted}")
        if fix:
            _repair(database, row.book_id)
    database.close()
    if wrong and fix:
        click.echo(f"{len(wrong)} recounted and told again")
        return
    click.echo(f"{len(wrong)} disagree with a recount" if wrong else "every rating agrees with a recount")
    raise SystemExit(1 if wrong else 0)


def _repair(database: Database, book_id: UUID) -> None:
    with database.transaction() as session:
        ratings.repair(session, book_id)
