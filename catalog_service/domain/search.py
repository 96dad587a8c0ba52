"""Finding books: full text, filters, and orders that a page can continue from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Numeric,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    text,
    union,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import InstrumentedAttribute, Session

from catalog_service.domain import named, planner, views, words
from catalog_service.domain.isbn import find_isbn13
from catalog_service.models import POPULARITY, Author, Book, BookAuthor, BookGenre, Genre
from common.pagination import Sort

RANK = "rank"
RANKED = 400
"""Of more matches than that, only the most popular are put into the order in which they fit; the others follow."""
RANK_SCALE = 1_000_000
MOST_POPULAR = 2**62
EXACT_TITLE = 4 * RANK_SCALE
FAVOUR = 25_000  # for each e-fold of popularity
FIRST_OF_SERIES = 200_000
WHOLE_NAME = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a reader asks for; None and empty ask for nothing."""

    q: str | None = None
    words: str | None = None  # `q` as the dictionary understands it: the text of a tsquery
    genre: Sequence[str] = ()
    genre_ids: Sequence[UUID] = ()  # those of `genre`: the planner knows how many books each of them has
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
    """The filters with other forms and better spellings of the words in them, and genres by their ids."""
    if filters.genre:
        filters = replace(filters, genre_ids=named.ids(session, Genre, filters.genre))
    if not filters.q or find_isbn13(filters.q):
        return filters
    return replace(filters, words=words.understood(session, filters.q))


def loosened(session: Session, filters: Filters) -> Filters | None:
    """Filters for more spellings or most of the words, when nothing has all of them; None where that is no help."""
    if not filters.q or filters.words is None or _has(session, filters.words):
        return None
    for looser in words.loosened(session, filters.q):
        if _has(session, looser):
            return replace(filters, words=looser)
    return None


def _has(session: Session, words: str) -> bool:
    """Whether any book has the words."""
    by_words = Filters(q=words, words=words)
    return session.scalar(select(Book.id).where(*conditions(by_words)).order_by(*_by(POPULAR)).limit(1)) is not None


def are_many(session: Session, filters: Filters) -> bool:
    """Whether there are `others` than the best."""
    some = select(Book.id).where(*conditions(filters)).order_by(*_by(POPULAR)).offset(RANKED).limit(1)
    return session.scalar(some) is not None


def best(session: Session, filters: Filters) -> Select[Any]:
    """The books that may come first in the order of relevance, not in that order."""
    return views.statement().where(Book.id.in_(_best(session, filters)))


def others(session: Session, filters: Filters) -> Select[Any]:
    """All that fit but the best."""
    return statement(filters).where(Book.id.not_in(_best(session, filters)))


def _best(session: Session, filters: Filters) -> Select[UUID]:
    columns = {"id": Book.id, "popularity": POPULARITY}
    popular = first(session, filters, columns, ["-popularity", "-id"], RANKED).subquery()
    titled = select(Book.id).where(*conditions(filters), Book.title_key.in_(_titles(filters))).limit(RANKED).subquery()
    found = union(select(popular.c.id), select(titled.c.id))
    return select(found.cte("best").prefix_with("MATERIALIZED", dialect="postgresql").c.id)


def first(
    session: Session, filters: Filters, columns: Mapping[str, Any], by: Sequence[str], number: int
) -> Select[Any]:
    """So many of what fits, in an order that has an index; a "-" stands before what is descending.

    Few matches are fetched before they are sorted: the planner thinks too well of a walk along the index of the order,
    which has to look at `number` times all books, divided by the matches.
    """
    fitting = select(*(column.label(name) for name, column in columns.items())).where(*conditions(filters))
    expected = planner.expected(session, fitting)
    are_few = expected**2 < number * planner.number_of_books(session)
    found = (fitting.offset(0) if are_few else fitting).subquery()
    order = [found.c[name[1:]].desc() if name[0] == "-" else found.c[name] for name in by]
    return select(found).order_by(*order).limit(number)


def _by(sorts: Sequence[Sort]) -> list[ColumnElement[Any]]:
    return [sort.column.desc() if sort.descending else sort.column.asc() for sort in sorts]


def statement(filters: Filters) -> Select[Any]:
    return views.statement().where(*conditions(filters))


def conditions(filters: Filters) -> list[ColumnElement[bool]]:
    is_active = Book.__table__.c.is_active  # bare, as the partial indexes have it
    wanted: list[ColumnElement[bool]] = [is_active if filters.is_active else ~is_active]
    if filters.q:
        wanted.append(_matches(filters))
    if filters.genre:
        wanted.append(Book.id.in_(select(BookGenre.book_id).where(BookGenre.genre_id.in_(filters.genre_ids))))
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
        bounds.append(_rating() >= filters.min_rating)
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
        names = func.ts_filter(Book.search, text("'{b}'"))
        return and_(Book.search.op("@@")(words), names.op("@@")(words))


def _same(column: InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    """Equal but for case, accents and punctuation, as the column is indexed."""
    return func.left(func.search_text(column), 100) == func.left(func.search_text(name), 100)


def order(filters: Filters, sort: str | None) -> list[Sort]:
    """The sort keys of a list; the best matches first when there is something to match."""
    if filters.q and sort in (None, "relevance"):
        return [Sort(_rank(filters), RANK, True), Sort(_units_sold(), "sold", True), Sort(_id(), "id", True)]
    return _ORDERS["newest"] if sort in (None, "relevance") else _ORDERS[sort]


def _rank(filters: Filters) -> ColumnElement[int]:
    """Relevance as a whole number, which a cursor can repeat exactly.

    A title that is the text, but for an article in front, comes first; a title with much else in it loses to one
    with little. Then what is much bought and rated is preferred among what matches alike, and of a series its first
    volumes.
    """
    relevance = func.ts_rank(Book.search, _query(filters), 1)
    exact = case((Book.title_key.in_(_titles(filters)), EXACT_TITLE), else_=0)
    favour = func.ln(1 + POPULARITY) * FAVOUR
    first = case((Book.series_position >= 1, FIRST_OF_SERIES / Book.series_position), else_=0)
    score = cast(relevance, Numeric) * RANK_SCALE + cast(favour, Numeric) + first + _typed_share(filters)
    return cast(func.round(score), Integer) + exact


def _titles(filters: Filters) -> list[ColumnElement[str]]:
    """The titles that are just what was asked for."""
    asked = func.search_text(filters.q)
    return [func.left(literal(article).concat(asked), 100) for article in ("", "the ", "a ", "an ")]


def _typed_share(filters: Filters) -> ColumnElement[Any]:
    """For how much of the title was typed, by length, or half as much for the series' name; else nothing."""
    if filters.words is None:
        return literal(0)
    any_word = cast(words.any_of(filters.words), TSQUERY)
    typed = func.length(func.search_text(filters.q)) * Decimal(WHOLE_NAME)

    def share(weight: str, name: Any) -> ColumnElement[Any]:
        found = func.ts_filter(Book.search, text(f"'{{{weight}}}'")).op("@@")(any_word)
        return case((found, func.least(typed / func.greatest(func.length(name), 1), WHOLE_NAME)), else_=0)

    return func.greatest(share("a", Book.title_key), share("c", Book.series_name) / 2)


POPULAR = [Sort(POPULARITY, "popularity", True), Sort(Book.__table__.c.id, "id", True)]


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
