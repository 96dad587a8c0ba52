"""Books that readers miss: they suggest them, the staff decide once, and the reader is told by mail."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from catalog_service.domain import books
from catalog_service.models import Book, Contact, Suggestion, SuggestionStatus
from common import mail
from common.db import utcnow
from common.errors import Conflict, NotFound

MAX_PENDING = 50
BATCH = 50


class AlreadyDecided(Conflict):
    code = "already_decided"


class TooManyPending(Conflict):
    code = "too_many_pending"


def submit(session: Session, user_id: UUID, *, title: str, author: str, isbn: str | None, note: str | None) -> UUID:
    """Raises TooManyPending: one person must not fill the queue of the staff."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.suggestions.' || :user, 0))")
    session.execute(lock, {"user": str(user_id)})
    pending = (Suggestion.user_id == user_id, Suggestion.status == SuggestionStatus.PENDING)
    if (session.scalar(select(func.count()).select_from(Suggestion).where(*pending)) or 0) >= MAX_PENDING:
        raise TooManyPending(f"{MAX_PENDING} of your suggestions have not been looked at yet.")
    made = Suggestion(user_id=user_id, title=title, author=author, isbn=isbn, note=note or None)
    session.add(made)
    session.flush()
    return made.id


def listing() -> Any:
    """All, with the names of those who suggested them."""
    return select(*Suggestion.__table__.c, Contact.name.label("suggested_by")).join_from(
        Suggestion, Contact, Contact.user_id == Suggestion.user_id, isouter=True
    )


def by_id(session: Session, id: UUID) -> Any:
    """Raises NotFound."""
    row = session.execute(listing().where(Suggestion.id == id)).one_or_none()
    if row is None:
        raise NotFound
    return row


def approve(session: Session, id: UUID, *, price: Decimal | None, currency: str) -> UUID:
    """Make a draft, which is not on sale, of what was suggested; its id.

    Raises NotFound, AlreadyDecided, or IsbnTaken with the id of the book that has this ISBN.
    """
    suggestion = _undecided(session, id)
    _require_new(session, suggestion.isbn)
    fields: books.BookFields = {
        "title": suggestion.title,
        "authors": [suggestion.author],
        "isbn": suggestion.isbn,
    }
    if price is not None:
        fields["price"] = price
    suggestion.book_id = books.create(session, fields, currency=currency, is_active=False)
    _decide(session, suggestion, SuggestionStatus.APPROVED)
    return suggestion.book_id


def reject(session: Session, id: UUID, reason: str) -> None:
    """Raises NotFound or AlreadyDecided."""
    suggestion = _undecided(session, id)
    suggestion.reason = reason
    _decide(session, suggestion, SuggestionStatus.REJECTED)


def _undecided(session: Session, id: UUID) -> Suggestion:
    """The suggestion, locked: of two who decide at once, the second finds it decided."""
    found = session.get(Suggestion, id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound
    if found.status != SuggestionStatus.PENDING:
        raise AlreadyDecided(f"This suggestion is {found.status} already.")
    return found


def _require_new(session: Session, isbn: str | None) -> None:
    existing = session.scalar(select(Book.id).where(Book.isbn == isbn)) if isbn else None
    if existing:
        raise books.IsbnTaken("A book with this ISBN is in the catalogue already.", book_id=str(existing))


def _decide(session: Session, suggestion: Suggestion, status: SuggestionStatus) -> None:
    suggestion.status, suggestion.decided_at = status, utcnow()
    session.flush()


def tell(session: Session) -> int:
    """Write the mails about what was decided; one whose reader is not known yet waits for the event that tells."""
    due = (
        select(Suggestion, Contact)
        .join(Contact, Contact.user_id == Suggestion.user_id)
        .where(Suggestion.decided_at.is_not(None), Suggestion.told_at.is_(None))
        .order_by(Suggestion.decided_at)
        .limit(BATCH)
        .with_for_update(of=Suggestion, skip_locked=True)
    )
    found = session.execute(due).all()
    for suggestion, contact in found:
        _write(session, suggestion, contact)
        suggestion.told_at = utcnow()
    return len(found)


def _write(session: Session, suggestion: Suggestion, contact: Contact) -> None:
    context = {name: getattr(suggestion, name) for name in ("title", "author", "reason")} | {"name": contact.name}
    template = mail.Template("catalog_service", f"suggestion_{suggestion.status.lower()}")
    mail.post(session, key=_mail_key(suggestion.id), to=contact.email, template=template, context=context)


def _mail_key(id: UUID) -> str:
    return f"suggestion:{id}"


def erase(session: Session, user_id: UUID) -> None:
    """Remove what a person suggested and was written about it; a book that was made of it stays."""
    gone = session.scalars(delete(Suggestion).where(Suggestion.user_id == user_id).returning(Suggestion.id)).all()
    mail.forget(session, [_mail_key(id) for id in gone])
