"""Books as they are shown: one statement that brings each book with its authors, genres and images."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.orm import Session

from catalog_service.domain import covers, images
from catalog_service.domain.isbn import find_isbn13
from catalog_service.domain.text import fingerprint
from catalog_service.models import Author, Book, BookAuthor, BookGenre, Genre, Image
from common.errors import NotFound

_EMPTY_LIST = text("'[]'::jsonb")
_SHOWN = (
    Book.id,
    Book.code,
    Book.isbn,
    Book.title,
    Book.author_names,
    Book.subtitle,
    Book.description,
    Book.publisher,
    Book.series_name,
    Book.series_position,
    Book.language,
    Book.format,
    Book.pages,
    Book.published_year,
    Book.price,
    Book.currency,
    Book.on_hand,
    Book.reserved,
    Book.cost_price,
    Book.low_stock_threshold,
    Book.rating_average,
    Book.rating_count,
    Book.is_active,
    Book.revision,
    Book.version,
    Book.created_at,
    Book.updated_at,
)


def _authors() -> Any:
    author = func.jsonb_build_object("id", Author.id, "name", Author.name, type_=JSONB)
    gathered = func.jsonb_agg(aggregate_order_by(author, BookAuthor.position), type_=JSONB)
    joined = select(func.coalesce(gathered, _EMPTY_LIST, type_=JSONB)).join_from(BookAuthor, Author)
    return joined.where(BookAuthor.book_id == Book.id).correlate(Book).scalar_subquery().label("authors")


def _genres() -> Any:
    genre = func.jsonb_build_object("id", Genre.id, "name", Genre.name, "slug", Genre.slug, type_=JSONB)
    gathered = func.jsonb_agg(aggregate_order_by(genre, Genre.key), type_=JSONB)
    joined = select(func.coalesce(gathered, _EMPTY_LIST, type_=JSONB)).join_from(BookGenre, Genre)
    return joined.where(BookGenre.book_id == Book.id).correlate(Book).scalar_subquery().label("genres")


def _images() -> Any:
    shown = ("id", Image.id, "width", Image.width, "height", Image.height, "alt", Image.alt)
    image = func.jsonb_build_object(*shown, type_=JSONB)
    gathered = func.jsonb_agg(aggregate_order_by(image, Image.position), type_=JSONB)
    held = select(func.coalesce(gathered, _EMPTY_LIST, type_=JSONB)).where(Image.book_id == Book.id)
    return held.correlate(Book).scalar_subquery().label("images")


def statement() -> Any:
    """All books, with what is shown of each."""
    return select(*_SHOWN, _authors(), _genres(), _images())


def find(session: Session, reference: str, *, staff: bool) -> Row[Any]:
    """One book by id or ISBN; one that is off sale is there for the staff only. Raises NotFound."""
    found = session.execute(statement().where(named_by(reference))).one_or_none()
    if found is None or not (found.is_active or staff):
        raise NotFound
    return found


def by_id(session: Session, id: UUID) -> Row[Any]:
    return session.execute(statement().where(Book.id == id)).one()


def named_by(reference: str) -> ColumnElement[bool]:
    """The condition that a book has this id or ISBN. Raises NotFound for what is neither."""
    try:
        return Book.id == UUID(reference)
    except ValueError:
        pass
    isbn = find_isbn13(reference)
    if isbn is None:
        raise NotFound
    return Book.isbn == isbn


def document(row: Row[Any], *, staff: bool) -> dict[str, Any]:
    """The book as JSON; what only the staff may know is added for them."""
    available = row.on_hand - row.reserved
    shown = {
        "id": row.id,
        "code": row.code,
        "isbn": row.isbn,
        "title": row.title,
        "subtitle": row.subtitle,
        "description": row.description,
        "authors": row.authors,
        "genres": row.genres,
        "publisher": row.publisher,
        "series": _series(row),
        "language": row.language,
        "format": row.format,
        "pages": row.pages,
        "published_year": row.published_year,
        "price": row.price,
        "currency": row.currency,
        "available": available,
        "in_stock": available > 0,
        "rating": {"average": _number(row.rating_average), "count": row.rating_count},
        "images": [image | {"url": images.url(image["id"])} for image in row.images],
        "cover_url": _cover_url(row),
        "is_active": row.is_active,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
    return shown | _for_staff(row) if staff else shown


def _cover_url(row: Row[Any]) -> str:
    first = row.images[0]["id"] if row.images else None
    return images.url(first) if first else covers.url(row.id, row.title, row.author_names)


def _for_staff(row: Row[Any]) -> dict[str, Any]:
    names = ("cost_price", "on_hand", "reserved", "low_stock_threshold")
    return {name: getattr(row, name) for name in names}


def _series(row: Row[Any]) -> dict[str, Any] | None:
    if row.series_name is None:
        return None
    return {"name": row.series_name, "position": _number(row.series_position)}


def _number(value: Any) -> int | float | None:
    """A small decimal as the JSON number that it looks like."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(value)


def entity_tag(row: Row[Any], *, staff: bool) -> str:
    """What changes with the answer: edits first, then everything else of the book, its genres, and who looks at it.

    A shelf may be a good part of the catalogue: when it is renamed, nothing is written to its books.
    """
    genres = fingerprint(repr([(genre["name"], genre["slug"]) for genre in row.genres]), 10)
    return f"{row.revision}.{row.version}.{genres}{'.staff' if staff else ''}"
