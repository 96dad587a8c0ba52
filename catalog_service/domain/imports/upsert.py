"""Writing a batch of rows: books are found by ISBN or code, and only what differs is written and told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from catalog_service.domain import announcements, named
from catalog_service.domain.books import AUTHOR_SEPARATOR, new_code
from catalog_service.domain.fields import DEFAULT_FORMAT, DEFAULT_LOW_STOCK_THRESHOLD
from catalog_service.domain.imports.draft import Draft, Problem, Row
from catalog_service.domain.ledger import Movement
from catalog_service.domain.text import comparison_key
from catalog_service.models import Author, Book, BookAuthor, BookGenre, Genre, MovementKind, StockMovement
from common import outbox
from common.db import utcnow
from common.ids import new_id

Names = dict[str, tuple[UUID, str]]
_books: Any = Book.__table__
_NEW: dict[str, Any] = {
    "isbn": None,
    "subtitle": None,
    "description": None,
    "publisher": None,
    "series_name": None,
    "series_position": None,
    "language": None,
    "format": DEFAULT_FORMAT,
    "pages": None,
    "published_year": None,
    "cost_price": None,
    "low_stock_threshold": DEFAULT_LOW_STOCK_THRESHOLD,
    "reserved": 0,
    "units_sold": 0,
    "rating_average": None,
    "rating_count": 0,
    "rating_version": 0,
    "is_active": True,
    "revision": 1,
    "version": 1,
}


@dataclass(slots=True)
class Outcome:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """The rows of one transaction, sorted into books to make and books to change."""

    new: list[Row] = field(default_factory=list)
    known: list[tuple[Row, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def upsert(session: Session, rows: Sequence[Row], claimed: dict[UUID, int], *, currency: str, actor: str) -> Outcome:
    """Make or change the books of `rows`, no two of which may have the same code or ISBN.

    `claimed` remembers over all batches of an import which row each known book was found by.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.import'))"))
    batch = _sort(session, rows, claimed)
    authors = named.by_names(session, Author, _names(batch, "authors"))
    genres = named.by_names(session, Genre, _names(batch, "genres"))
    _create(session, batch.new, authors, genres, currency=currency, actor=actor)
    updated = _change(session, batch.known, authors, genres)
    return Outcome(len(batch.new), updated, len(batch.known) - updated, batch.problems)


def _names(batch: Batch, kind: str) -> list[str]:
    rows = [*batch.new, *(row for row, _ in batch.known)]
    return [name for row in rows for name in getattr(row.draft, kind)]


def _sort(session: Session, rows: Sequence[Row], claimed: dict[UUID, int]) -> Batch:
    found = _existing(session, rows)
    by_code, by_isbn = {book.code: book for book in found}, {book.isbn: book for book in found if book.isbn}
    batch = Batch()
    for row in rows:
        coded, numbered = by_code.get(row.draft.code), by_isbn.get(row.draft.isbn)
        if book := coded or numbered:
            problems = _doubts(row, book, numbered, claimed)
        else:
            problems = [
                Problem(row.number, name, "is needed for a new book")
                for name in ("title", "price")
                if _value(row, name) in (None, "")
            ]
        batch.problems += problems
        if any(problem.is_fatal for problem in problems):
            continue
        if book:
            batch.known.append((row, book))
        else:
            batch.new.append(row)
    return batch


def _doubts(row: Row, book: Any, numbered: Any, claimed: dict[UUID, int]) -> list[Problem]:
    """Whether the row really means `book`, and it alone. `numbered` is the book that has its ISBN."""
    code = row.draft.code
    if numbered and numbered.id != book.id:
        message = f"belongs to the book with the code {numbered.code}, not to {code}"
        return [Problem(row.number, "isbn", message)]
    if (first := claimed.setdefault(book.id, row.number)) != row.number:
        return [Problem(row.number, "code", f"is the book of row {first} again")]
    if code and book.code != code:
        message = f"the book with this ISBN has the code {book.code}, which is kept"
        return [Problem(row.number, "code", message, False)]
    return []


def _value(row: Row, name: str) -> Any:
    if name in row.draft.model_fields_set:
        return getattr(row.draft, name)
    return row.defaults.get(name)


def _existing(session: Session, rows: Sequence[Row]) -> Sequence[Any]:
    """The books that are there, locked, each with the keys of its authors and genres."""
    author_keys = func.array_agg(aggregate_order_by(Author.key, BookAuthor.position))
    genre_keys = func.array_agg(Genre.key)
    codes = [row.draft.code for row in rows if row.draft.code]
    isbns = [row.draft.isbn for row in rows if row.draft.isbn]
    statement = (
        select(
            *(column for column in _books.c if column.name not in ("search", "title_key")),
            _keys(author_keys, BookAuthor, Author).label("author_keys"),
            _keys(genre_keys, BookGenre, Genre).label("genre_keys"),
        )
        .where(or_(_books.c.code.in_(codes), _books.c.isbn.in_(isbns)))
        .order_by(_books.c.id)
        .with_for_update(of=_books)
    )
    return session.execute(statement).all()


def _keys(gathered: Any, link: Any, model: Any) -> Any:
    joined = select(gathered).join_from(link, model).where(link.book_id == _books.c.id)
    return joined.correlate(_books).scalar_subquery()


def _create(session: Session, rows: Iterable[Row], authors: Names, genres: Names, *, currency: str, actor: str) -> None:
    books, movements = [], []
    links = Links()
    for row in rows:
        book = _new_book(row, authors, currency)
        books.append(book)
        links.add(book["id"], row.draft, authors, genres)
        if book["on_hand"]:
            received = Movement(book["id"], MovementKind.RECEIVED, book["on_hand"], actor=actor, reason="import")
            movements.append(received.row())
    if books:
        session.execute(insert(_books), books)
        links.write(session)
    if movements:
        session.execute(insert(StockMovement), movements)
    outbox.record_all(session, [announcements.added(SimpleNamespace(**book)) for book in books])


def _new_book(row: Row, authors: Names, currency: str) -> dict[str, Any]:
    id, now = new_id(), utcnow()
    return (
        _NEW
        | {name: row.defaults[name] for name in row.defaults if name in _books.c}
        | row.draft.columns()
        | {
            "id": id,
            "code": row.draft.code or new_code(id),
            "author_names": _author_names(row.draft, authors),
            "currency": currency,
            "on_hand": _value(row, "stock") or 0,
            "created_at": now,
            "updated_at": now,
        }
    )


def _author_names(draft: Draft, authors: Names) -> str:
    known = dict(authors[comparison_key(name)] for name in draft.authors)
    return AUTHOR_SEPARATOR.join(known.values())


def _change(session: Session, known: Sequence[tuple[Row, Any]], authors: Names, genres: Names) -> int:
    events, links = [], Links()
    for row, book in known:
        changes = _changes(row.draft, book, authors)
        relinked = links.replace(row.draft, book, authors, genres)
        if not changes and not relinked:
            continue
        changes |= {"revision": book.revision + 1, "version": book.version + 1, "updated_at": utcnow()}
        session.execute(update(_books).where(_books.c.id == bindparam("book")).values(changes), {"book": book.id})
        events.append(announcements.changed(SimpleNamespace(**(dict(book._mapping) | changes))))
    links.write(session)
    outbox.record_all(session, events)
    return len(events)


def _changes(draft: Draft, book: Any, authors: Names) -> dict[str, Any]:
    wanted = draft.columns()
    if "authors" in draft.model_fields_set:
        wanted["author_names"] = _author_names(draft, authors)
    return {name: value for name, value in wanted.items() if getattr(book, name) != value}


@dataclass(slots=True)
class Links:
    """Which authors and genres the books of a batch get."""

    authors: list[dict[str, Any]] = field(default_factory=list)
    genres: list[dict[str, Any]] = field(default_factory=list)
    without_authors: list[UUID] = field(default_factory=list)
    without_genres: list[UUID] = field(default_factory=list)

    def add(self, book_id: UUID, draft: Draft, authors: Names, genres: Names) -> None:
        self._add_authors(book_id, _unique_keys(draft.authors), authors)
        self._add_genres(book_id, _unique_keys(draft.genres), genres)

    def replace(self, draft: Draft, book: Any, authors: Names, genres: Names) -> bool:
        """Note what differs from the links that `book` has; whether anything does."""
        differs = False
        keys = _unique_keys(draft.authors)
        if "authors" in draft.model_fields_set and keys != (book.author_keys or []):
            self.without_authors.append(book.id)
            self._add_authors(book.id, keys, authors)
            differs = True
        keys = _unique_keys(draft.genres)
        if "genres" in draft.model_fields_set and set(keys) != set(book.genre_keys or []):
            self.without_genres.append(book.id)
            self._add_genres(book.id, keys, genres)
            differs = True
        return differs

    def write(self, session: Session) -> None:
        if self.without_authors:
            session.execute(delete(BookAuthor).where(BookAuthor.book_id.in_(self.without_authors)))
        if self.without_genres:
            session.execute(delete(BookGenre).where(BookGenre.book_id.in_(self.without_genres)))
        if self.authors:
            session.execute(insert(BookAuthor), self.authors)
        if self.genres:
            session.execute(insert(BookGenre), self.genres)

    def _add_authors(self, book_id: UUID, keys: list[str], authors: Names) -> None:
        for position, key in enumerate(keys):
            self.authors.append({"book_id": book_id, "author_id": authors[key][0], "position": position})

    def _add_genres(self, book_id: UUID, keys: list[str], genres: Names) -> None:
        self.genres += [{"book_id": book_id, "genre_id": genres[key][0]} for key in keys]


def _unique_keys(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(map(comparison_key, names)))
