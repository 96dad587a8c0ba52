"""One import from where it stands to its end, batch by batch.

A batch is one transaction: the books, what became of each row, and how far the import is. Whoever begins again after
a crash therefore begins behind the last batch that counted, and nothing is applied twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from catalog_service.domain.imports import jobs
from catalog_service.domain.imports.draft import Problem, Rejected, Row
from catalog_service.domain.imports.reading import FileRefused, Reader, Record
from catalog_service.domain.imports.upsert import Change, Outcome, upsert

BATCH = 500
BATCH_BYTES = 4_000_000
ATTEMPTS = 3
MOST_OF_ONE_ROW = 20
"""Problems of a row that are written down; who repairs these sees the others then."""
Transaction = Callable[[], AbstractContextManager[Session]]


class DryRun(Exception):
    """Raised to have the writes of a dry run rolled back."""


class Interrupted(Exception):
    """The process is to end; the import goes on elsewhere, or later."""


@dataclass(slots=True)
class Result:
    """What became of a batch: counts, problems, changes, and the records that were rejected."""

    rows: int
    outcome: Outcome = field(default_factory=Outcome)
    problems: list[Problem] = field(default_factory=list)
    rejected: dict[int, bytes] = field(default_factory=dict)

    @property
    def changes(self) -> list[Change]:
        return self.outcome.changes

    @property
    def warnings(self) -> int:
        return sum(not problem.is_fatal for problem in self.problems)


@dataclass(slots=True)
class Import:
    """`transaction` gives each batch a session that commits when the batch is done."""

    transaction: Transaction
    currency: str
    on_batch: Callable[[Result], object] = lambda _result: None
    should_stop: Callable[[], bool] = lambda: False
    most_rejected: int | None = None
    position: int = 0

    def count_read(self, size: int) -> None:
        self.position += size

    def run(self, job: jobs.Job, reader: Reader) -> None:
        """Raises FileRefused where the file cannot be read on or is mostly wrong, Interrupted, and ClaimLost."""
        records = iter(reader)
        for _ in islice(records, job.rows):
            pass
        for batch in _batches(records):
            if self.should_stop():
                raise Interrupted
            self.on_batch(self._write(job, batch, reader))
        if not job.dry_run:
            self._refresh_statistics(job)

    def _refresh_statistics(self, job: jobs.Job) -> None:
        """Plans are made for the new size of the tables at once, not when the server comes round to it."""
        with self.transaction() as session:
            if jobs.changed_books(session, job.id) >= BATCH:
                session.execute(text("ANALYZE books, authors, book_authors, genres, book_genres"))

    def _write(self, job: jobs.Job, batch: list[Record], reader: Reader) -> Result:
        """One transaction; again, when somebody made the same book or author in the same moment, or held a lock."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.transaction() as session:
                    jobs.hold(session, job)
                    result = self._attempt(session, job, batch)
                    place: dict[str, Any] = {"position": self.position, "head": reader.head, "tail": reader.tail}
                    rejected = jobs.advance(session, job, result, **place)
                self._require_sense(rejected)
                return result
            except (IntegrityError, OperationalError):
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError

    def _require_sense(self, rejected: int) -> None:
        if self.most_rejected is not None and rejected > self.most_rejected:
            raise FileRefused(f"stopped after {rejected} rows were rejected; is it the right file?")

    def _attempt(self, session: Session, job: jobs.Job, batch: list[Record]) -> Result:
        result = Result(len(batch))
        parsed = [row for record in batch if (row := self._parse(record, result))]
        rows = _without_repeats(session, job.id, parsed, result)
        with suppress(DryRun), session.begin_nested():
            result.outcome = upsert(
                session,
                rows,
                lambda wanted: jobs.claim_keys(session, job.id, wanted),
                currency=self.currency,
                actor=job.actor,
            )
            if job.dry_run:
                raise DryRun
        result.problems = _first_of_each(result.problems + result.outcome.problems)
        wrong = {problem.row for problem in result.problems if problem.is_fatal}
        result.rejected = {record.number: record.source() for record in batch if record.number in wrong}
        return result

    def _parse(self, record: Record, result: Result) -> Row | None:
        try:
            row = record.parse(self.currency)
        except Rejected as rejected:
            result.problems += rejected.problems
            return None
        result.problems += row.problems
        if not row.draft.code and not row.draft.isbn:
            row.draft = row.draft.model_copy(update={"code": row.draft.content_code()})
        return row


def _first_of_each(problems: list[Problem]) -> list[Problem]:
    """By row, and of each row only so many: the fatal ones first, since they decide what becomes of it."""
    kept: list[Problem] = []
    counts: Counter[int] = Counter()
    for problem in sorted(problems, key=lambda problem: (problem.row, not problem.is_fatal)):
        counts[problem.row] += 1
        if counts[problem.row] <= MOST_OF_ONE_ROW:
            kept.append(problem)
    return kept


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Few enough records for a short transaction, and few enough bytes for any memory."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += record.size
        if len(batch) == BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _without_repeats(session: Session, import_id: UUID, rows: list[Row], result: Result) -> list[Row]:
    """The rows that are the first of the file to name their book."""
    wanted: dict[str, int] = {}
    for row in rows:
        for name, value in _names(row):
            wanted.setdefault(f"{name}:{value}", row.number)
    first = jobs.claim_keys(session, import_id, wanted)
    kept = []
    for row in rows:
        repeats = [
            Problem(row.number, name, f"{value} is repeated from row {first[f'{name}:{value}']}")
            for name, value in _names(row)
            if first[f"{name}:{value}"] != row.number
        ]
        result.problems += repeats[:1]
        if not repeats:
            kept.append(row)
    return kept


def _names(row: Row) -> list[tuple[str, str]]:
    return [(name, value) for name in ("isbn", "code") if (value := getattr(row.draft, name))]
