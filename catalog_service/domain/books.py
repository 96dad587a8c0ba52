"""Writing books: create, replace, merge, take off sale and bring back."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from catalog_service.domain import announcements, named
from catalog_service.domain.fields import DEFAULT_FORMAT, DEFAULT_LOW_STOCK_THRESHOLD, BookFields
from catalog_service.domain.text import comparison_key
from catalog_service.models import Author, Book, BookAuthor, BookGenre, Genre
from common import outbox
from common.db import utcnow
from common.errors import Conflict, Invalid, NotFound
from common.ids import new_id

AUTHOR_SEPARATOR = "; "
NO_PRICE_YET = Decimal("0.00")
PLAIN = (
    "isbn",
    "title",
    "subtitle",
    "description",
    "publisher",
    "language",
    "format",
    "pages",
    "published_year",
    "price",
    "cost_price",
    "low_stock_threshold",
)
EMPTY: BookFields = {
    "isbn": None,
    "subtitle": None,
    "description": None,
    "publisher": None,
    "series": None,
    "language": None,
    "format": DEFAULT_FORMAT,
    "pages": None,
    "published_year": None,
    "cost_price": None,
    "low_stock_threshold": DEFAULT_LOW_STOCK_THRESHOLD,
    "authors": None,
    "genre_ids": None,
}


class Links(NamedTuple):
    """Authors in their order and genres, as chosen by a write; None: not spoken of."""

    authors: list[tuple[UUID, str]] | None
    genres: list[UUID] | None


class CodeTaken(Conflict):
    code = "code_taken"


class IsbnTaken(Conflict):
    code = "isbn_taken"


class PriceNeeded(Conflict):
    code = "price_needed"


def new_code(id: UUID) -> str:
    """A code for a book that came without one, from the random end of its id."""
    return f"BK-{id.hex[-12:].upper()}"


def create(session: Session, fields: BookFields, *, currency: str, is_active: bool = True) -> UUID:
    """Without a price it cannot be put on sale before it gets one.

    Raises CodeTaken, IsbnTaken, or Invalid for an author or genre that does not exist.
    """
    id = new_id()
    code = fields.get("code") or new_code(id)
    book = Book(id=id, code=code, currency=currency, author_names="", is_active=is_active)
    book.price, book.needs_price = NO_PRICE_YET, True
    links = _chosen_links(session, fields)
    _write(book, EMPTY | fields, links)
    _require_unique(session, book)
    session.add(book)
    _flush(session)
    _relink(session, id, links, anew=False)
    outbox.record(session, announcements.added(book))
    return id


def to_change(session: Session, id: UUID) -> Book:
    """The book as it is now, locked until the transaction ends. Raises NotFound."""
    book = session.get(Book, id, with_for_update=True, populate_existing=True)
    if book is None:
        raise NotFound
    return book


def replace(session: Session, book: Book, fields: BookFields) -> None:
    """All of it anew; only its code stays when none is given. Raises as `create` does."""
    given = {name: value for name, value in fields.items() if name != "code" or value}
    change(session, book, EMPTY | given)  # type: ignore[arg-type]


def change(session: Session, book: Book, fields: BookFields) -> None:
    """The given fields anew; the same again is no change. Raises as `create` does."""
    with session.no_autoflush:  # what is modified must not be written, and forgotten, before it is looked at
        links = _chosen_links(session, fields)
        _write(book, fields, links)
        _require_unique(session, book)
        relinked = _relink(session, book.id, links, anew=True)
        if not relinked and not session.is_modified(book):
            return
    book.edited()
    _flush(session)
    outbox.record(session, announcements.changed(book))


def set_active(session: Session, book: Book, is_active: bool) -> None:
    """Take off sale, or bring back. What is reserved stays reserved, and past orders keep their lines.

    Raises PriceNeeded for one that nobody has given a price, and be it 0.00.
    """
    if book.is_active == is_active:
        return
    if is_active and is_unpriced(book):
        raise PriceNeeded("Give it a price first.")
    book.is_active = is_active
    book.edited()
    outbox.record(session, announcements.changed(book))


def is_unpriced(book: Any) -> Any:
    """Whether nobody has given it a price yet: of a book, or as a condition on columns."""
    return book.needs_price & (book.price == NO_PRICE_YET)


def author_renamed(session: Session, author_id: UUID) -> None:
    """Have the author's books, which are locked, found and shown under the new name."""
    held = session.scalars(select(BookAuthor.book_id).where(BookAuthor.author_id == author_id)).all()
    write_author_names(session, held)


def write_author_names(session: Session, held: Sequence[UUID]) -> None:
    """Repeat the names of the authors in these books, which are locked."""
    names = func.string_agg(Author.name, aggregate_order_by(literal(AUTHOR_SEPARATOR), BookAuthor.position))
    joined = select(BookAuthor.book_id, names.label("names")).join(Author).where(BookAuthor.book_id.in_(held))
    written = joined.group_by(BookAuthor.book_id).subquery()
    session.execute(
        update(Book)
        .where(Book.id == written.c.book_id)
        .values(
            author_names=written.c.names,
            revision=Book.revision + 1,
            version=Book.version + 1,
            updated_at=utcnow(),
        )
        .execution_options(synchronize_session=False)
    )


def _write(book: Book, fields: BookFields, links: Links) -> None:
    if code := fields.get("code"):
        book.code = code
    for name in PLAIN:
        if name in fields:
            value = fields[name]  # type: ignore[literal-required]
            setattr(book, name, None if value == "" else value)
    if "price" in fields:
        book.needs_price = False
    if "series" in fields:
        series = fields["series"]
        book.series_name = series["name"] if series else None
        book.series_position = series["position"] if series else None
    if links.authors is not None:
        book.author_names = AUTHOR_SEPARATOR.join(name for _, name in links.authors)


def _require_unique(session: Session, book: Book) -> None:
    others = Book.id != book.id
    if session.scalar(select(Book.id).where(Book.code == book.code, others)):
        raise CodeTaken(f"Another book has the code {book.code}.")
    if book.isbn and session.scalar(select(Book.id).where(Book.isbn == book.isbn, others)):
        raise IsbnTaken(f"Another book has the ISBN {book.isbn}.")


def _flush(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
        if constraint == "uq_books_code":
            raise CodeTaken("Another book has this code.") from None
        if constraint == "uq_books_isbn":
            raise IsbnTaken("Another book has this ISBN.") from None
        raise


def _chosen_links(session: Session, fields: BookFields) -> Links:
    return Links(_chosen_authors(session, fields), _chosen_genres(session, fields))


def _chosen_authors(session: Session, fields: BookFields) -> list[tuple[UUID, str]] | None:
    if fields.get("author_ids") and fields.get("authors"):
        raise Invalid.field("authors", "give author_ids or authors, not both")
    if ids := fields.get("author_ids"):
        return named.require_ids(session, Author, "author_ids", ids)
    if names := fields.get("authors"):
        known = named.by_names(session, Author, names)
        return list(dict.fromkeys(known[comparison_key(name)] for name in names))
    return [] if "authors" in fields or "author_ids" in fields else None


def _chosen_genres(session: Session, fields: BookFields) -> list[UUID] | None:
    if "genre_ids" not in fields:
        return None
    return [id for id, _ in named.require_ids(session, Genre, "genre_ids", fields["genre_ids"] or [])]


def _relink(session: Session, book_id: UUID, links: Links, *, anew: bool) -> bool:
    """Join the book to its authors and genres; whether that changed anything. `anew`: it may have some already."""
    changed = False
    if links.authors is not None:
        rows = [{"author_id": id, "position": position} for position, (id, _) in enumerate(links.authors)]
        changed |= _write_links(session, BookAuthor, book_id, rows, anew)
    if links.genres is not None:
        changed |= _write_links(session, BookGenre, book_id, [{"genre_id": id} for id in links.genres], anew)
    return changed


def _write_links(session: Session, model: Any, book_id: UUID, rows: list[dict[str, Any]], anew: bool) -> bool:
    if anew:
        held = session.execute(select(model.__table__).where(model.book_id == book_id))
        before = [{name: value for name, value in row._mapping.items() if name != "book_id"} for row in held]
        if sorted(before, key=repr) == sorted(rows, key=repr):
            return False
        session.execute(delete(model).where(model.book_id == book_id))
    if rows:
        session.execute(insert(model), [row | {"book_id": book_id} for row in rows])
    return bool(rows) or anew
