"""Writing a batch of rows: books are found by ISBN or code, and only what differs is written and told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import cast, column, delete, func, insert, or_, select, text, update, values
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from catalog_service.domain import announcements, named
from catalog_service.domain.books import AUTHOR_SEPARATOR, NO_PRICE_YET, new_code
from catalog_service.domain.fields import DEFAULT_FORMAT, DEFAULT_LOW_STOCK_THRESHOLD
from catalog_service.domain.imports.draft import Draft, Problem, Row
from catalog_service.domain.ledger import Movement
from catalog_service.domain.text import comparison_key
from catalog_service.models import (
    Author,
    Book,
    BookAuthor,
    BookGenre,
    Genre,
    ImportChange,
    MovementKind,
    StockMovement,
    UndoOutcome,
)
from common import outbox
from common.db import utcnow
from common.ids import new_id

Names = named.Known
Claim = Callable[[Mapping[str, int]], Mapping[str, int]]
_books: Any = Book.__table__
_book_authors: Any = BookAuthor.__table__
_book_genres: Any = BookGenre.__table__
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
    "needs_price": False,
    "revision": 1,
    "version": 1,
}


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a book: the fields of a Draft that differ, and `is_active`, as they were and as they are."""

    row: int
    book_id: UUID
    code: str
    before: dict[str, Any]
    after: dict[str, Any]
    is_new: bool = False


@dataclass(slots=True)
class Outcome:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """The rows of one transaction, sorted into books to make and books to change."""

    new: list[Row] = field(default_factory=list)
    known: list[tuple[Row, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def upsert(session: Session, rows: Sequence[Row], claim: Claim, *, currency: str, actor: str) -> Outcome:
    """Make or change the books of `rows`, no two of which may have the same code or ISBN.

    `claim` takes keys with the rows that name them and answers which row of the import was the first with each.
    """
    lock(session)
    batch = _sort(session, rows, claim)
    names = _named(session, [*batch.new, *(row for row, _ in batch.known)])
    created = _create(session, batch.new, names, currency=currency, actor=actor)
    updated = change(session, batch.known, _revived(session, batch.known), names)
    unchanged = len(batch.known) - len(updated)
    return Outcome(len(created), len(updated), unchanged, batch.problems, [*created, *updated])


def lock(session: Session) -> None:
    """One batch at a time, of whatever import: they write the same authors."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.import'))"))


def _named(session: Session, rows: Sequence[Row]) -> tuple[Names, Names]:
    """The authors and the genres that the rows name; those that are new are made.

    Of all rows of a transaction at once, since that locks them in one order.
    """
    authors = named.by_names(session, Author, [name for row in rows for name in row.draft.authors])
    return authors, named.by_names(session, Genre, [name for row in rows for name in row.draft.genres])


def _sort(session: Session, rows: Sequence[Row], claim: Claim) -> Batch:
    found = _existing(session, rows)
    by_code, by_isbn = {book.code: book for book in found}, {book.isbn: book for book in found if book.isbn}
    pairs = [(row, by_code.get(row.draft.code), by_isbn.get(row.draft.isbn)) for row in rows]
    wanted: dict[str, int] = {}
    for row, coded, numbered in pairs:
        if (book := coded or numbered) and (numbered or book) is book:
            wanted.setdefault(f"book:{book.id}", row.number)
    claimed = claim(wanted)
    batch = Batch()
    for row, coded, numbered in pairs:
        if book := coded or numbered:
            problems = _doubts(row, book, numbered, claimed)
        else:
            problems = [
                Problem(row.number, name, "is needed for a new book")
                for name in _needed(row)
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


def _needed(row: Row) -> tuple[str, ...]:
    """Without a price it can be a draft, which does not go on sale."""
    return ("title", "price") if _goes_on_sale(row) else ("title",)


def _goes_on_sale(row: Row) -> bool:
    return bool(row.defaults.get("is_active", True))


def _doubts(row: Row, book: Any, numbered: Any, claimed: Mapping[str, int]) -> list[Problem]:
    """Whether the row really means `book`, and it alone. `numbered` is the book that has its ISBN."""
    code = row.draft.code
    if numbered and numbered.id != book.id:
        message = f"belongs to the book with the code {numbered.code}, not to {code}"
        return [Problem(row.number, "isbn", message)]
    if (first := claimed[f"book:{book.id}"]) != row.number:
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
    codes = [row.draft.code for row in rows if row.draft.code]
    isbns = [row.draft.isbn for row in rows if row.draft.isbn]
    return held(session, or_(_books.c.code.in_(codes), _books.c.isbn.in_(isbns)))


def held(session: Session, condition: Any) -> Sequence[Any]:
    """The books that are there, locked, each with the names of its `authors` and `genres`."""
    authors = func.array_agg(aggregate_order_by(Author.name, BookAuthor.position))
    genres = func.array_agg(aggregate_order_by(Genre.name, Genre.key))
    statement = (
        select(
            *(column for column in _books.c if column.name not in ("search", "title_key")),
            _gathered(authors, BookAuthor, Author).label("authors"),
            _gathered(genres, BookGenre, Genre).label("genres"),
        )
        .where(condition)
        .order_by(_books.c.id)
        .with_for_update(of=_books)
    )
    return session.execute(statement).all()


def _gathered(names: Any, link: Any, model: Any) -> Any:
    joined = select(func.coalesce(names, text("'{}'"))).join_from(link, model).where(link.book_id == _books.c.id)
    return joined.correlate(_books).scalar_subquery()


def _revived(session: Session, known: Sequence[tuple[Row, Any]]) -> dict[UUID, dict[str, Any]]:
    """Books that only the undoing of an import took off sale: they come back when they are imported again."""
    inactive = {
        book.id: book.revision
        for row, book in known
        if not book.is_active and not book.needs_price and _goes_on_sale(row)
    }
    if not inactive:
        return {}
    withdrawn = select(ImportChange.book_id, ImportChange.undo_revision).where(
        ImportChange.book_id.in_(inactive), ImportChange.undo_outcome == UndoOutcome.WITHDRAWN
    )
    untouched = [row.book_id for row in session.execute(withdrawn) if inactive[row.book_id] == row.undo_revision]
    return {book_id: {"is_active": True} for book_id in untouched}


def _create(
    session: Session, rows: Sequence[Row], names: tuple[Names, Names], *, currency: str, actor: str
) -> list[Change]:
    authors, genres = names
    books, movements, changes = [], [], []
    links = Links()
    for row in rows:
        book = _new_book(row, authors, currency)
        books.append(book)
        links.add(book["id"], row.draft, authors, genres)
        if book["on_hand"]:
            received = Movement(book["id"], MovementKind.RECEIVED, book["on_hand"], actor=actor, reason="import")
            movements.append(received.row())
        after = {name: book[name] for name in Draft.model_fields if name in book and book[name] is not None}
        after |= {"authors": _names_of(row.draft.authors, authors), "genres": _names_of(row.draft.genres, genres)}
        changes.append(Change(row.number, book["id"], book["code"], {}, after, is_new=True))
    if books:
        session.execute(insert(_books), books)
        links.write(session)
    if movements:
        session.execute(insert(StockMovement), movements)
    outbox.record_all(session, [announcements.added(SimpleNamespace(**book)) for book in books])
    return changes


def _new_book(row: Row, authors: Names, currency: str) -> dict[str, Any]:
    id, now = new_id(), utcnow()
    unpriced = {"price": NO_PRICE_YET, "needs_price": True} if _value(row, "price") is None else {}
    return (
        _NEW
        | unpriced
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
    return AUTHOR_SEPARATOR.join(_names_of(draft.authors, authors))


def _names_of(wanted: Iterable[str], known: Names) -> list[str]:
    """The names as they are kept, each once."""
    return [name for _, name in _each_once(wanted, known)]


def _each_once(wanted: Iterable[str], known: Names) -> list[tuple[UUID, str]]:
    """Two names may be of one, since they were merged."""
    return list(dict.fromkeys(known[comparison_key(name)] for name in wanted))


def change(
    session: Session,
    known: Sequence[tuple[Row, Any]],
    besides: Mapping[UUID, dict[str, Any]],
    names: tuple[Names, Names] | None = None,
) -> list[Change]:
    """Write what the rows say to their books, which `held` gave, and columns `besides` by book; tell what differed."""
    authors, genres = names or _named(session, [row for row, _ in known])
    events, changes, links = [], [], Links()
    written: dict[UUID, dict[str, Any]] = {}
    for row, book in known:
        columns = _changes(row.draft, book, authors) | besides.get(book.id, {})
        relinked = links.replace(row.draft, book, authors, genres)
        if not columns and not relinked:
            continue
        told = {name: value for name, value in columns.items() if name != "author_names"} | relinked
        changes.append(Change(row.number, book.id, book.code, {name: getattr(book, name) for name in told}, told))
        columns |= {"revision": book.revision + 1, "version": book.version + 1, "updated_at": utcnow()}
        written[book.id] = columns
        events.append(announcements.changed(SimpleNamespace(**(dict(book._mapping) | columns))))
    _rewrite(session, written)
    links.write(session)
    outbox.record_all(session, events)
    return changes


def _rewrite(session: Session, written: Mapping[UUID, dict[str, Any]]) -> None:
    """Write these columns of these books: one statement for all books in which the same ones differ."""
    alike: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for book_id, columns in written.items():
        alike.setdefault(tuple(columns), []).append((book_id, *columns.values()))
    for names, rows in alike.items():
        new = values(*(column(name, _books.c[name].type) for name in ("id", *names)), name="new").data(rows)
        typed = {name: cast(new.c[name], _books.c[name].type) for name in names}  # VALUES knows NULL as text only
        session.execute(update(_books).where(_books.c.id == new.c.id).values(typed))


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
        self._add_authors(book_id, _each_once(draft.authors, authors))
        self._add_genres(book_id, _each_once(draft.genres, genres))

    def replace(self, draft: Draft, book: Any, authors: Names, genres: Names) -> dict[str, list[str]]:
        """Note what differs from the links that `book` has; the names of those that do."""
        relinked = {}
        names = _names_of(draft.authors, authors)
        if "authors" in draft.model_fields_set and unique_keys(names) != unique_keys(book.authors):
            self.without_authors.append(book.id)
            self._add_authors(book.id, _each_once(draft.authors, authors))
            relinked["authors"] = names
        names = _names_of(draft.genres, genres)
        if "genres" in draft.model_fields_set and set(unique_keys(names)) != set(unique_keys(book.genres)):
            self.without_genres.append(book.id)
            self._add_genres(book.id, _each_once(draft.genres, genres))
            relinked["genres"] = names
        return relinked

    def write(self, session: Session) -> None:
        if self.without_authors:
            session.execute(delete(BookAuthor).where(BookAuthor.book_id.in_(self.without_authors)))
        if self.without_genres:
            session.execute(delete(BookGenre).where(BookGenre.book_id.in_(self.without_genres)))
        if self.authors:
            session.execute(insert(_book_authors), self.authors)
        if self.genres:
            session.execute(insert(_book_genres), self.genres)

    def _add_authors(self, book_id: UUID, authors: list[tuple[UUID, str]]) -> None:
        for position, (id, _) in enumerate(authors):
            self.authors.append({"book_id": book_id, "author_id": id, "position": position})

    def _add_genres(self, book_id: UUID, genres: list[tuple[UUID, str]]) -> None:
        self.genres += [{"book_id": book_id, "genre_id": id} for id, _ in genres]


def unique_keys(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(map(comparison_key, names)))
