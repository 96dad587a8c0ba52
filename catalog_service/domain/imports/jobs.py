"""Imports as jobs in the database: their files, who works on them, and what is written down of them.

The file waits in rows of a mebibyte, not in a folder: web and worker share a database and nothing else, and a copy of
the database has all that is needed to go on.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert_into
from sqlalchemy.orm import Session

from catalog_service.domain import audit
from catalog_service.models import (
    ImportChange,
    ImportJob,
    ImportKey,
    ImportPiece,
    ImportProblem,
    ImportStatus,
    RejectedRow,
)
from catalog_service.models.imports import IN_WORK, OPEN
from common.db import utcnow
from common.errors import Conflict, NotFound
from common.ids import new_id

if TYPE_CHECKING:
    from catalog_service.domain.imports.run import Result

PIECE = 1024 * 1024
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 5
FIELD_LENGTH, MESSAGE_LENGTH = 100, 500
COUNTS = ("rows", "created", "updated", "unchanged", "rejected")
_jobs = ImportJob.__table__.c
_changes: Any = ImportChange.__table__


class ClaimLost(Exception):
    """Somebody else works on this import by now."""


class NotUndoable(Conflict):
    code = "not_undoable"


class NotCancellable(Conflict):
    code = "not_cancellable"


@dataclass(frozen=True, slots=True)
class Job:
    """An import in the hands of whoever claimed it. `rows` are behind it already."""

    id: UUID
    claim: UUID
    source: str
    format: str
    dry_run: bool
    actor: str
    rows: int
    attempts: int
    undo_actor: str | None
    is_undo: bool


def create(session: Session, *, format: str, dry_run: bool, actor: str, filename: str | None, size: int = 0) -> UUID:
    """An import whose file is stored by `store`, for the worker."""
    id = new_id()
    job = ImportJob(id=id, source="http", format=format, dry_run=dry_run, actor=actor, filename=filename, size=size)
    job.status = ImportStatus.PENDING
    session.add(job)
    session.flush()
    return id


def store(session: Session, id: UUID, file: IO[bytes]) -> None:
    """Keep the file of an import, read piece by piece."""
    size = number = 0
    while data := file.read(PIECE):
        session.execute(insert(ImportPiece), {"import_id": id, "number": number, "data": data})
        size, number = size + len(data), number + 1
    session.execute(update(ImportJob).where(_jobs.id == id).values(size=size))


def begin_here(session: Session, *, format: str, dry_run: bool, actor: str, filename: str, size: int) -> Job:
    """An import that this process runs by itself, from a file that only it has."""
    id = create(session, format=format, dry_run=dry_run, actor=actor, filename=filename, size=size)
    session.execute(update(ImportJob).where(_jobs.id == id).values(source="cli"))
    return claim_here(session, id)


def claim_next(session: Session) -> Job | None:
    """The import that has waited for longest, now ours; one whose worker died is such a one after LEASE."""
    since = func.coalesce(_jobs.turn_at, _jobs.created_at)
    waiting = select(_jobs.id).where(text(f"({IN_WORK})"), _is_free()).order_by(since).limit(1)
    id = session.scalar(waiting.with_for_update(skip_locked=True))
    return claim_here(session, id) if id else None


def does_another_wait(session: Session) -> bool:
    return session.scalar(select(_jobs.id).where(text(f"({IN_WORK})"), _is_free()).limit(1)) is not None


def _is_free() -> ColumnElement[bool]:
    return or_(_jobs.lease_until.is_(None), _jobs.lease_until < func.now())


def claim_here(session: Session, id: UUID) -> Job:
    """An import that waits, or whose undoing does, and that the caller has locked: now ours."""
    session.execute(update(ImportJob).where(_jobs.id == id).values(**_claimed()))
    for column in (_jobs.status, _jobs.undo_status):
        waits = update(ImportJob).where(_jobs.id == id, column == ImportStatus.PENDING)
        session.execute(waits.values({column.name: ImportStatus.RUNNING}))
    return _job(session.execute(select(*_jobs).where(_jobs.id == id)).one())


def _claimed() -> dict[str, Any]:
    return {
        "claim": new_id(),
        "lease_until": func.now() + LEASE,
        "attempts": _jobs.attempts + 1,
        "started_at": func.coalesce(_jobs.started_at, func.now()),
    }


def _job(row: Any) -> Job:
    is_undo = row.undo_status in OPEN
    return Job(**{name: getattr(row, name) for name in Job.__slots__ if name != "is_undo"}, is_undo=is_undo)


def hold(session: Session, job: Job) -> None:
    """Lock the import until the transaction ends. Raises ClaimLost when it is not this worker's any more."""
    mine = select(_jobs.id).where(_jobs.id == job.id, _jobs.claim == job.claim).with_for_update()
    if session.scalar(mine) is None:
        raise ClaimLost


def give_back(session: Session, job: Job) -> None:
    """Let somebody else go on at once, or with it when all others have had their turn."""
    values = {"claim": None, "lease_until": None, "attempts": 0, "turn_at": func.now()}
    session.execute(update(ImportJob).where(_jobs.id == job.id, _jobs.claim == job.claim).values(**values))


def claim_keys(session: Session, import_id: UUID, wanted: Mapping[str, int]) -> dict[str, int]:
    """For each key the first row of the import that named it; those not named before belong to the given rows."""
    if not wanted:
        return {}
    rows = [{"import_id": import_id, "key": key, "row": row} for key, row in sorted(wanted.items())]
    added = upsert_into(ImportKey).on_conflict_do_nothing().returning(ImportKey.key)
    new = set(session.scalars(added, rows))
    known = [key for key in wanted if key not in new]
    before = select(ImportKey.key, ImportKey.row).where(ImportKey.import_id == import_id, ImportKey.key.in_(known))
    return dict(wanted) | (dict(session.execute(before).tuples().all()) if known else {})


def advance(session: Session, job: Job, result: Result, **place: Any) -> int:
    """Write down what became of a batch, in its transaction; `place`: position, head and tail of the file.

    Returns how many rows the import has rejected so far.
    """
    if result.problems:
        session.execute(insert(ImportProblem), [_problem(job.id, problem) for problem in result.problems])
    if result.rejected:
        rejected = [{"import_id": job.id, "row": row, "source": data} for row, data in result.rejected.items()]
        session.execute(insert(RejectedRow), rejected)
    if result.changes:
        session.execute(insert(_changes), [_change(job, change) for change in result.changes])
    count(session, job, _counts(result), **place)
    return session.execute(select(_jobs.rejected).where(_jobs.id == job.id)).scalar_one()


def _counts(result: Result) -> dict[str, int]:
    return {
        "rows": result.rows,
        "created": result.outcome.created,
        "updated": result.outcome.updated,
        "unchanged": result.outcome.unchanged,
        "rejected": len(result.rejected),
        "warnings": result.warnings,
    }


def count(session: Session, job: Job, counts: Mapping[str, int], **values: Any) -> None:
    """Add to the counts of an import, and keep it for another LEASE."""
    sums = {name: getattr(_jobs, name) + number for name, number in counts.items()}
    alive = {"lease_until": func.now() + LEASE, "attempts": 0}
    session.execute(update(ImportJob).where(_jobs.id == job.id).values(**sums, **alive, **values))


def _problem(import_id: UUID, problem: Any) -> dict[str, Any]:
    return {
        "import_id": import_id,
        "row": problem.row,
        "field": problem.field[:FIELD_LENGTH],
        "message": problem.message[:MESSAGE_LENGTH],
        "is_fatal": problem.is_fatal,
    }


def _change(job: Job, change: Any) -> dict[str, Any]:
    return {
        "import_id": job.id,
        "row": change.row,
        "book_id": None if job.dry_run and change.is_new else change.book_id,
        "code": change.code,
        "action": "created" if change.is_new else "updated",
        "before": jsonable(change.before),
        "after": jsonable(change.after),
    }


def jsonable(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in fields.items()}


def changed_books(session: Session, id: UUID) -> int:
    return session.execute(select(_jobs.created + _jobs.updated).where(_jobs.id == id)).scalar_one()


def finish(session: Session, job: Job, *, failure: str | None = None) -> ImportJob:
    """The import is through, or cannot go on; the file and the keys are not needed any more. Raises ClaimLost."""
    hold(session, job)
    status = ImportStatus.FAILED if failure else ImportStatus.COMPLETED
    values = {"status": status, "failure": failure, "claim": None, "lease_until": None, "attempts": 0}
    ended = update(ImportJob).where(_jobs.id == job.id).values(**values, finished_at=utcnow()).returning(ImportJob)
    done = session.scalars(ended).one()
    _drop_file(session, job.id)
    if not job.dry_run:
        told = {name: getattr(done, name) for name in ("format", "filename", "status", *COUNTS)}
        audit.acted(session, job.actor, "import.completed", job.id, after=told, reason=failure)
    return done


def cancel(session: Session, id: UUID, *, actor: str) -> ImportJob:
    """Have an import taken no further: what it did stays, and can be undone. Raises NotFound, or NotCancellable.

    It waits for the batch that is being written; whoever works on it finds out with the next one.
    """
    job = session.get(ImportJob, id, with_for_update=True, populate_existing=True) or find(session, id)
    if job.status == ImportStatus.CANCELLED:
        return job
    if job.status not in OPEN:
        raise NotCancellable("It has ended already.")
    job.status, job.finished_at = ImportStatus.CANCELLED, utcnow()
    job.claim = job.lease_until = None
    session.flush()
    _drop_file(session, id)
    told = {name: getattr(job, name) for name in ("format", "filename", "status", *COUNTS)}
    audit.acted(session, actor, "import.cancelled", id, after=told)
    return job


def _drop_file(session: Session, id: UUID) -> None:
    for part in (ImportPiece, ImportKey):
        session.execute(delete(part).where(part.import_id == id))


class StoredFile(io.RawIOBase):
    """The file of an import, read back piece by piece, each in a short transaction of its own."""

    def __init__(self, read: Callable[[], AbstractContextManager[Session]], id: UUID) -> None:
        self._pieces = self._all(read, id)
        self._rest = memoryview(b"")

    def _all(self, read: Callable[[], AbstractContextManager[Session]], id: UUID) -> Iterator[bytes]:
        number = 0
        while True:
            with read() as session:
                data = session.scalar(
                    select(ImportPiece.data).where(ImportPiece.import_id == id, ImportPiece.number == number)
                )
            if data is None:
                return
            yield bytes(data)
            number += 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def find(session: Session, id: UUID) -> ImportJob:
    """Raises NotFound."""
    found = session.get(ImportJob, id)
    if found is None:
        raise NotFound
    return found


def listing() -> Select[Any]:
    return select(*_jobs)


def problems(id: UUID) -> Select[Any]:
    return select(*ImportProblem.__table__.c).where(ImportProblem.import_id == id)


def first_errors(session: Session, id: UUID, most: int) -> list[dict[str, Any]]:
    """The first `most` reasons for which rows were rejected."""
    table = ImportProblem.__table__.c
    fatal = select(table.row, table.field, table.message).where(table.import_id == id, table.is_fatal)
    return [dict(row) for row in session.execute(fatal.order_by(table.id).limit(most)).mappings()]


def changes(id: UUID) -> Select[Any]:
    return select(*_changes.c).where(_changes.c.import_id == id)


def prune(session: Session, *, days: int) -> None:
    """Forget row by row what old imports did; that they were, and their counts, stays."""
    old = select(_jobs.id).where(_jobs.finished_at < utcnow() - timedelta(days=days), _jobs.details_kept)
    ids = list(session.scalars(old.where(or_(_jobs.undo_status.is_(None), _jobs.undo_status.not_in(OPEN))).limit(20)))
    if not ids:
        return
    for part in (ImportChange, ImportProblem, RejectedRow):
        session.execute(delete(part).where(part.import_id.in_(ids)))
    session.execute(update(ImportJob).where(_jobs.id.in_(ids)).values(details_kept=False))
