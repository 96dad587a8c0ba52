"""One import from its first row to its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from catalog_service.domain.imports import columns, goodbooks
from catalog_service.domain.imports.draft import Problem, Rejected, Row
from catalog_service.domain.imports.records import FileRefused, Record, Records
from catalog_service.domain.imports.upsert import Outcome, upsert

BATCH = 500
ATTEMPTS = 3
Transaction = Callable[[], AbstractContextManager[Session]]


DIALECTS: tuple[Any, ...] = (columns, goodbooks)


class DryRun(Exception):
    """Raised to have the transaction of a dry run rolled back."""


@dataclass(slots=True)
class Report:
    """What became of the rows; `on_problem` hears of each problem as it is found."""

    on_problem: Callable[[Problem], object]
    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    warnings: int = 0

    def add(self, outcome: Outcome) -> None:
        self.created += outcome.created
        self.updated += outcome.updated
        self.unchanged += outcome.unchanged
        self.tell(outcome.problems)

    def tell(self, problems: list[Problem]) -> None:
        """Problems of rows: however many are fatal to one row, it is rejected once."""
        self.rejected += len({problem.row for problem in problems if problem.is_fatal})
        self.warnings += sum(not problem.is_fatal for problem in problems)
        for problem in problems:
            self.on_problem(problem)


@dataclass(slots=True)
class Import:
    """Settings of one run. `transaction` gives each batch a session that commits when the batch is done."""

    transaction: Transaction
    currency: str
    actor: str
    dry_run: bool = False
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)
    _claimed: dict[UUID, int] = field(default_factory=dict)

    def run(self, records: Records, report: Report) -> None:
        """Raises FileRefused for columns that are not known."""
        dialect = dialect_of(records.columns)
        parsed = self._parse(records, dialect, report)
        while batch := list(islice(parsed, BATCH)):
            report.add(self._write(batch))
        if report.created + report.updated >= BATCH and not self.dry_run:
            self._refresh_statistics()

    def _refresh_statistics(self) -> None:
        """Plans are made for the new size of the tables at once, not when the server comes round to it."""
        with self.transaction() as session:
            session.execute(text("ANALYZE books, authors, book_authors, genres, book_genres"))

    def _parse(self, records: Records, dialect: Any, report: Report) -> Iterator[Row]:
        for record in records:
            report.rows += 1
            try:
                row = self._parse_one(record, dialect)
            except Rejected as rejected:
                report.tell(rejected.problems)
                continue
            report.tell(row.problems)
            yield row

    def _parse_one(self, record: Record, dialect: Any) -> Row:
        if record.problem:
            raise Rejected([record.problem])
        row: Row = dialect.parse(record, self.currency)
        if not row.draft.code and not row.draft.isbn:
            row.draft = row.draft.model_copy(update={"code": row.draft.content_code()})
        self._refuse_repeats(row)
        return row

    def _refuse_repeats(self, row: Row) -> None:
        names = [(name, value) for name in ("isbn", "code") if (value := getattr(row.draft, name))]
        for name, value in names:
            if first := self._seen.get((name, value)):
                raise Rejected([*row.problems, Problem(row.number, name, f"{value} is repeated from row {first}")])
        self._seen |= dict.fromkeys(names, row.number)

    def _write(self, batch: list[Row]) -> Outcome:
        """One transaction; again, when somebody made the same book or author in the same moment."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(batch)
            except IntegrityError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError

    def _attempt(self, batch: list[Row]) -> Outcome:
        outcome = Outcome()
        try:
            with self.transaction() as session:
                outcome = upsert(session, batch, self._claimed, currency=self.currency, actor=self.actor)
                if self.dry_run:
                    raise DryRun
        except DryRun:
            pass
        return outcome


def dialect_of(names: list[str]) -> Any:
    for dialect in DIALECTS:
        if dialect.understands(names):
            return dialect
    unknown = sorted(set(names) - set(columns.COLUMNS) - set(columns.IGNORED))
    raise FileRefused(f"columns that are not known: {', '.join(unknown)}" if unknown else "no code, isbn or title")
