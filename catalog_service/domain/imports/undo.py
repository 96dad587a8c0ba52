"""Taking an import back, book by book: what it wrote is undone where it still stands, and what was done since stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from catalog_service.domain import audit
from catalog_service.domain.imports import jobs
from catalog_service.domain.imports.draft import Draft, Row
from catalog_service.domain.imports.run import BATCH, Interrupted, Transaction
from catalog_service.domain.imports.upsert import change, held, lock, unique_keys
from catalog_service.models import Book, ImportChange, ImportJob, ImportStatus, UndoOutcome
from catalog_service.models.imports import OPEN

_changes: Any = ImportChange.__table__
_jobs: Any = ImportJob.__table__
_books: Any = Book.__table__


def request(session: Session, id: UUID, *, actor: str) -> ImportJob:
    """Have the worker undo an import. Raises NotFound, or NotUndoable while or when there is nothing to undo."""
    job = session.get(ImportJob, id, with_for_update=True, populate_existing=True) or jobs.find(session, id)
    if reason := _obstacle(job):
        raise jobs.NotUndoable(reason)
    job.undo_status, job.undo_actor = ImportStatus.PENDING, actor
    audit.acted(session, actor, "import.undo_requested", id, after={"format": job.format, "filename": job.filename})
    session.flush()
    return job


def _obstacle(job: ImportJob) -> str | None:
    if job.dry_run:
        return "A dry run changed nothing."
    if job.status in OPEN:
        return "The import is not finished yet."
    if job.undo_status is not None:
        return "It is being undone, or was."
    if not job.details_kept:
        return "What it did to each book is not kept any longer."
    return None


def run(transaction: Transaction, job: jobs.Job, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Undo the rest of an import, batch by batch. Raises Interrupted, and ClaimLost."""
    while True:
        if should_stop():
            raise Interrupted
        with transaction() as session:
            jobs.hold(session, job)
            if not _undo_next(session, job):
                _finish(session, job, ImportStatus.COMPLETED)
                return


def kept(id: UUID) -> Select[Any]:
    """The books that an undoing left as they are, and why."""
    return select(_changes.c.code, _changes.c.undo_reason).where(
        _changes.c.import_id == id, _changes.c.undo_outcome == UndoOutcome.KEPT
    )


def _undo_next(session: Session, job: jobs.Job) -> bool:
    lock(session)
    open_changes = jobs.changes(job.id).where(_changes.c.undo_outcome.is_(None))
    batch = session.execute(open_changes.order_by(_changes.c.row).limit(BATCH)).all()
    if not batch:
        return False
    found = {book.id: book for book in held(session, _books.c.id.in_([each.book_id for each in batch]))}
    taken = _isbns_of_others(session, batch)
    reasons = {each.row: _reason(each, found.get(each.book_id), taken) for each in batch}
    pairs = [(each, found[each.book_id]) for each in batch if reasons[each.row] is None]
    change(session, [(_back(each), book) for each, book in pairs], {book.id: _activity(each) for each, book in pairs})
    _note(session, job, batch, reasons)
    return True


def _reason(done: Any, book: Any, taken: dict[str, UUID]) -> str | None:
    """Why the book is left as it is; None when it can go back."""
    if book is None:
        return "The book is not there any more."
    if changed := [name for name, value in done.after.items() if not _same(name, getattr(book, name), value)]:
        return f"Changed since: {', '.join(changed)}."
    if done.action == "created" and (book.units_sold or book.reserved):
        return "Sold or reserved since."
    if taken.get(done.before.get("isbn"), book.id) != book.id:
        return "Another book has its former ISBN by now."
    return None


def _same(name: str, current: Any, written: Any) -> bool:
    if name == "authors":
        return unique_keys(current) == unique_keys(written)
    if name == "genres":
        return set(unique_keys(current)) == set(unique_keys(written))
    if isinstance(current, Decimal):  # 12.5 was written, and is kept as 12.50
        return written is not None and current == Decimal(written)
    return bool(current == written)


def _isbns_of_others(session: Session, batch: Sequence[Any]) -> dict[str, UUID]:
    isbns = [isbn for each in batch if (isbn := each.before.get("isbn"))]
    rows = session.execute(select(_books.c.isbn, _books.c.id).where(_books.c.isbn.in_(isbns))) if isbns else ()
    return {row.isbn: row.id for row in rows}


def _back(done: Any) -> Row:
    fields = {name: value for name, value in done.before.items() if name != "is_active"}
    return Row(done.row, Draft.model_validate(fields))


def _activity(done: Any) -> dict[str, bool]:
    """A book that the import made is taken off sale: other services know it, and its ledger is kept."""
    if done.action == "created":
        return {"is_active": False}
    return {"is_active": done.before["is_active"]} if "is_active" in done.before else {}


def _note(session: Session, job: jobs.Job, batch: Sequence[Any], reasons: dict[int, str | None]) -> None:
    """Write down per book what became of it, and count."""
    alike: dict[tuple[UndoOutcome, str | None], list[int]] = {}
    for each in batch:
        reason = reasons[each.row]
        alike.setdefault((_outcome(each, reason), reason), []).append(each.row)
    revision = select(_books.c.revision).where(_books.c.id == _changes.c.book_id).scalar_subquery()
    for (outcome, reason), rows in alike.items():
        mine = update(_changes).where(_changes.c.import_id == job.id, _changes.c.row.in_(rows))
        session.execute(mine.values(undo_outcome=outcome, undo_reason=reason, undo_revision=revision))
    jobs.count(session, job, Counter(str(_outcome(each, reasons[each.row])) for each in batch))


def _outcome(done: Any, reason: str | None) -> UndoOutcome:
    if reason:
        return UndoOutcome.KEPT
    return UndoOutcome.WITHDRAWN if done.action == "created" else UndoOutcome.RESTORED


def fail(session: Session, job: jobs.Job, reason: str) -> None:
    """Give up; what is undone stays so. Raises ClaimLost."""
    jobs.hold(session, job)
    _finish(session, job, ImportStatus.FAILED, reason)


def _finish(session: Session, job: jobs.Job, status: ImportStatus, reason: str | None = None) -> None:
    values = {"undo_status": status, "claim": None, "lease_until": None, "attempts": 0}
    counted = [_jobs.c[str(outcome)] for outcome in UndoOutcome]
    done = session.execute(update(_jobs).where(_jobs.c.id == job.id).values(**values).returning(*counted)).one()
    audit.acted(session, job.undo_actor or job.actor, "import.undone", job.id, after=dict(done._mapping), reason=reason)
