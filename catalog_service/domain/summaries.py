"""Which summary a book has, and who may have the next one written: one at a time, not too often, not without need."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from catalog_service.domain import extracts, views
from catalog_service.models import Book, Summary, SummaryMinute
from common.db import utcnow
from common.errors import NotFound

PAUSE_AFTER_FAILURE = timedelta(minutes=5)
MINUTES_KEPT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a summary is made of: our own data, and nothing else."""

    book_id: UUID
    title: str
    description: str

    @property
    def fingerprint(self) -> str:
        """Another one when the text is: a summary of the old text is then none of this book."""
        return hashlib.sha256(f"{self.title}\0{self.description}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """`source` says who wrote it: `extractive`, provider and model, or `none` when there is nothing to summarise."""

    summary: str | None
    source: str
    generated_at: datetime | None

    @property
    def is_extract(self) -> bool:
        return self.source == EXTRACTIVE


EXTRACTIVE = "extractive"
NOTHING = Answer(None, "none", None)


def subject(session: Session, reference: str, *, staff: bool) -> Subject:
    """By id or ISBN. Raises NotFound; a book that is off sale is there for the staff only."""
    told = select(Book.id, Book.title, Book.description, Book.is_active)
    row = session.execute(told.where(views.named_by(reference))).one_or_none()
    if row is None or not (row.is_active or staff):
        raise NotFound
    return Subject(row.id, row.title, (row.description or "").strip())


def extract(session: Session, about: Subject) -> Answer:
    """The sentences that say most, kept until somebody writes better ones or the text changes."""
    made = Answer(extracts.extract(about.title, about.description), EXTRACTIVE, utcnow())
    kept = insert(Summary).values(book_id=about.book_id, not_before=made.generated_at, **_columns(about, made))
    lacking = or_(Summary.summary.is_(None), Summary.fingerprint != about.fingerprint)
    session.execute(
        kept.on_conflict_do_update(index_elements=[Summary.book_id], set_=_columns(about, made), where=lacking)
    )
    return made


def _columns(about: Subject, answer: Answer) -> dict[str, Any]:
    values = {"summary": answer.summary, "source": answer.source, "generated_at": answer.generated_at}
    return {"fingerprint": about.fingerprint} | values


def stored(session: Session, about: Subject) -> Answer | None:
    """What was written about this very text, or extracted from it, if anything was."""
    columns = (Summary.summary, Summary.source, Summary.generated_at)
    of_this = (Summary.book_id == about.book_id, Summary.fingerprint == about.fingerprint)
    row = session.execute(select(*columns).where(*of_this, Summary.summary.is_not(None))).one_or_none()
    return Answer(row.summary, str(row.source), row.generated_at) if row else None


def claim(session: Session, about: Subject, *, lease: timedelta, per_minute: int) -> bool:
    """Whether the caller is the one to have it written now; nobody else is until `lease` is over.

    Not while somebody else does, nor soon after a failure, nor when the minute's calls are used up.
    """
    now = utcnow()
    fresh: dict[str, Any] = {"fingerprint": about.fingerprint, "not_before": now + lease}
    statement = insert(Summary).values(book_id=about.book_id, **fresh)
    is_of_this = Summary.fingerprint == about.fingerprint
    unwritten = or_(Summary.summary.is_(None), Summary.source == EXTRACTIVE, ~is_of_this)
    same = {name: case((is_of_this, getattr(Summary, name))) for name in ("summary", "source", "generated_at")}
    claimed = statement.on_conflict_do_update(
        index_elements=[Summary.book_id], set_=fresh | same, where=unwritten & (Summary.not_before <= now)
    )
    with session.begin_nested() as attempt:
        if session.scalar(claimed.returning(Summary.book_id)) and _count_call(session, now, per_minute):
            return True
        attempt.rollback()
    return False


def _count_call(session: Session, now: datetime, per_minute: int) -> bool:
    minute = now.replace(second=0, microsecond=0)
    session.execute(delete(SummaryMinute).where(SummaryMinute.minute < now - MINUTES_KEPT))
    if per_minute < 1:
        return False
    counted = insert(SummaryMinute).values(minute=minute, calls=1)
    within = counted.on_conflict_do_update(
        index_elements=[SummaryMinute.minute],
        set_={"calls": SummaryMinute.calls + 1},
        where=SummaryMinute.calls < per_minute,
    )
    return session.scalar(within.returning(SummaryMinute.calls)) is not None


def store(session: Session, about: Subject, answer: Answer) -> None:
    """Keep it, unless the text has changed since and somebody was asked about the new one."""
    session.execute(_of_this(about).values(**_columns(about, answer), not_before=utcnow()))


def failed(session: Session, about: Subject) -> None:
    """Let the provider rest before it is asked about this book again."""
    session.execute(_of_this(about).values(not_before=utcnow() + PAUSE_AFTER_FAILURE))


def _of_this(about: Subject) -> Any:
    return update(Summary).where(Summary.book_id == about.book_id, Summary.fingerprint == about.fingerprint)
