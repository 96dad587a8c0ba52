"""Finding books: full text, filters, orders that a page can continue from, and counts by facet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Numeric, Select, and_, case, cast, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import InstrumentedAttribute, Session

from catalog_service.domain import named, views, words
from catalog_service.domain.isbn import find_isbn13
from catalog_service.models import Author, Book, BookAuthor, BookGenre, Genre
from common.pagination import Sort

FACET_SIZE = 20
RANK_SCALE = 1_000_000
EXACT_TITLE = 4 * RANK_SCALE
POPULARITY = 25_000  # for each e-fold of what was sold and rated
FIRST_OF_SERIES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a reader asks for; None and empty ask for nothing."""

    q: str | None = None
    words: str | None = None  # `q` as the dictionary understands it: the text of a tsquery
    genre: Sequence[str] = ()
    author: str | None = None
    publisher: str | None = None
    series: str | None = None
    language: str | None = None
    format: str | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    in_stock: bool | None = None
    min_rating: float | None = None
    is_active: bool = True


def understood(session: Session, filters: Filters) -> Filters:
    """The filters with other forms and better spellings of the words in them."""
    if not filters.q or find_isbn13(filters.q):
        return filters
    return replace(filters, words=words.understood(session, filters.q))


def statement(filters: Filters) -> Select[Any]:
    return views.statement().where(*conditions(filters))


def conditions(filters: Filters) -> list[ColumnElement[bool]]:
    is_active = Book.__table__.c.is_active  # bare, as the partial indexes have it
    wanted: list[ColumnElement[bool]] = [is_active if filters.is_active else ~is_active]
    if filters.q:
        wanted.append(_matches(filters))
    if filters.genre:
        current = select(Genre.id).where(Genre.slug.in_(filters.genre))
        genres: Any = union_all(current, named.formerly(Genre, filters.genre))
        wanted.append(Book.id.in_(select(BookGenre.book_id).where(BookGenre.genre_id.in_(genres))))
    if filters.author:
        wanted.append(_written_by(filters.author))
    if filters.publisher:
        wanted.append(_same(Book.publisher, filters.publisher))
    if filters.series:
        wanted.append(_same(Book.series_name, filters.series))
    return wanted + _bounds(filters)


def _bounds(filters: Filters) -> list[ColumnElement[bool]]:
    bounds: list[ColumnElement[bool]] = []
    if filters.language is not None:
        bounds.append(Book.language == filters.language)
    if filters.format is not None:
        bounds.append(Book.format == filters.format)
    if filters.min_price is not None:
        bounds.append(Book.price >= filters.min_price)
    if filters.max_price is not None:
        bounds.append(Book.price <= filters.max_price)
    if filters.min_rating is not None:
        bounds.append(Book.rating_average >= filters.min_rating)
    if filters.in_stock is not None:
        bounds.append((Book.on_hand > Book.reserved).is_(filters.in_stock))
    return bounds


def _query(filters: Filters) -> ColumnElement[Any]:
    """The words as a query that the database's own functions write: nothing of them is syntax to SQL."""
    if filters.words is not None:
        return cast(filters.words, TSQUERY)
    return func.search_query(filters.q, type_=TSQUERY)


def _matches(filters: Filters) -> ColumnElement[bool]:
    """By ISBN when the text is one, however it is spelt; else by words, the last of which may be unfinished."""
    if isbn := find_isbn13(filters.q or ""):
        return Book.isbn == isbn
    return Book.search.op("@@")(_query(filters))


def _written_by(author: str) -> ColumnElement[bool]:
    """By an author's id, or by words of the name; the index narrows, the names decide."""
    try:
        id = UUID(author)
        authors: Any = union_all(select(literal(id)), named.formerly(Author, [str(id)]))
        return Book.id.in_(select(BookAuthor.book_id).where(BookAuthor.author_id.in_(authors)))
    except ValueError:
        words = func.plainto_tsquery("simple", func.search_text(author), type_=TSQUERY)
        names = func.to_tsvector("simple", func.search_text(Book.author_names))
        return and_(Book.search.op("@@")(words), names.op("@@")(words))


def _same(column: InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    """Equal but for case, accents and punctuation, as the column is indexed."""
    return func.left(func.search_text(column), 100) == func.left(func.search_text(name), 100)


def order(filters: Filters, sort: str | None) -> list[Sort]:
    """The sort keys of a list; the best matches first when there is something to match."""
    if filters.q and sort in (None, "relevance"):
        return [Sort(_rank(filters), "rank", True), Sort(_units_sold(), "sold", True), Sort(_id(), "id", True)]
    return _ORDERS["newest"] if sort in (None, "relevance") else _ORDERS[sort]


def _rank(filters: Filters) -> ColumnElement[int]:
    """Relevance as a whole number, which a cursor can repeat exactly.

    A title that is the text, but for an article in front, comes first. Then what is much bought and rated is
    preferred among what matches alike, and of a series its first volumes.
    """
    relevance = func.ts_rank(Book.search, _query(filters), 1)
    asked = func.search_text(filters.q)
    titles = [func.left(literal(article).concat(asked), 100) for article in ("", "the ", "a ", "an ")]
    exact = case((Book.title_key.in_(titles), EXACT_TITLE), else_=0)
    favour = func.ln(1 + Book.rating_count + 10 * Book.units_sold) * POPULARITY
    first = case((Book.series_position >= 1, FIRST_OF_SERIES / Book.series_position), else_=0)
    score = cast(relevance, Numeric) * RANK_SCALE + cast(favour, Numeric) + first
    return cast(func.round(score), Integer) + exact


def _units_sold() -> ColumnElement[int]:
    return cast(func.least(Book.units_sold, 2**31 - 1), Integer)


def _id() -> ColumnElement[Any]:
    return Book.__table__.c.id


def _rating() -> ColumnElement[Decimal]:
    return func.coalesce(Book.rating_average, literal(Decimal(0)), type_=Numeric)


_ORDERS: dict[str, list[Sort]] = {
    "newest": [Sort(Book.__table__.c.created_at, "newest", True), Sort(_id(), "id", True)],
    "title": [Sort(Book.__table__.c.title_key, "title"), Sort(_id(), "id")],
    "price": [Sort(Book.__table__.c.price, "price"), Sort(_id(), "id")],
    "-price": [Sort(Book.__table__.c.price, "price", True), Sort(_id(), "id", True)],
    "rating": [
        Sort(_rating(), "rating", True),
        Sort(Book.__table__.c.rating_count, "ratings", True),
        Sort(_id(), "id", True),
    ],
    "bestselling": [Sort(Book.__table__.c.units_sold, "sold", True), Sort(_id(), "id", True)],
    "inactive": [Sort(Book.__table__.c.updated_at, "changed", True), Sort(_id(), "id", True)],
}
