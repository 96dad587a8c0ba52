"""All books, or those that fit, for a file: read behind a cursor of the server's, a few hundred at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from catalog_service.domain import books, search
from catalog_service.domain.imports.formats import FORMATS
from catalog_service.domain.search import Filters
from catalog_service.models import Author, Book, BookAuthor, BookGenre, Genre

AT_ONCE = 500
_books: Any = Book.__table__


def statement(filters: Filters, *, is_active: bool | None = None, limit: int | None = None) -> Select[Any]:
    """Books with the names of their authors and genres, oldest first. `is_active`: None is on sale and off.

    The price is None where nobody has given one yet.
    """
    columns = [column for column in _books.c if column.name not in ("search", "title_key", "author_names", "price")]
    price = case((books.is_unpriced(_books.c), None), else_=_books.c.price).label("price")
    chosen = select(*columns, price, _names(Author, BookAuthor.position), _names(Genre, Genre.key))
    wanted = (True, False) if is_active is None else (is_active,)
    either = or_(*(and_(*search.conditions(replace(filters, is_active=each))) for each in wanted))
    return chosen.where(either).order_by(_books.c.id).limit(limit)


def _names(model: Any, order: Any) -> Any:
    link = BookAuthor if model is Author else BookGenre
    gathered = func.coalesce(func.array_agg(aggregate_order_by(model.name, order)), text("'{}'"))
    joined = select(gathered).join_from(link, model).where(link.book_id == Book.id).correlate(Book)
    return joined.scalar_subquery().label(model.__tablename__)


def stream(
    transaction: AbstractContextManager[Session], chosen: Select[Any], format: str, *, raw: bool = False
) -> Iterator[bytes]:
    """The books as a file, in pieces; the transaction is open until the last was taken."""
    written = FORMATS[format]
    write = (raw and written.write_raw) or written.write
    with transaction as session:
        rows = session.execute(chosen.execution_options(yield_per=AT_ONCE))
        yield from write(rows)
