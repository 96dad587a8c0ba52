"""Books like a book, and books like a text, from what the last training left in the tables; what they rest on is told.

A book that the training has not seen, or found nothing for, is answered by its series, its author, or its genre.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, not_, select, text
from sqlalchemy.orm import Session

from catalog_service.domain import search, views
from catalog_service.domain.search import Filters
from catalog_service.models import Book, BookAuthor, BookGenre, SimilarBooks

CONSIDERED = 3_000
"""How many books a text is compared with, at most: those that have its rarest words."""

_KNOWN = text("""
SELECT term, weight, books FROM similar_terms
WHERE term = ANY(tsvector_to_array(to_tsvector('english', search_text(:q)))) ORDER BY books, term
""")

_NEAREST = text("""
SELECT considered.book_id FROM (
    SELECT book_id, terms, weights FROM similar_books WHERE terms && CAST(:rare AS text[]) LIMIT :considered
) AS considered
JOIN books ON books.id = considered.book_id AND books.is_active,
LATERAL unnest(considered.terms, considered.weights) AS held(term, weight)
JOIN unnest(CAST(:terms AS text[]), CAST(:weights AS real[])) AS asked(term, weight) ON asked.term = held.term
GROUP BY considered.book_id, books.rating_count, books.units_sold
ORDER BY sum(held.weight * asked.weight) DESC, books.rating_count + 10 * books.units_sold DESC, considered.book_id
LIMIT :most
""")


class Found(NamedTuple):
    """Books, the nearest first, and what that rests on."""

    basis: str
    rows: list[Row[Any]]


NOTHING = Found("none", [])


def to_book(session: Session, reference: str, *, staff: bool, limit: int) -> Found:
    """Books like the one with this id or ISBN. Raises NotFound."""
    book = views.find(session, reference, staff=staff)
    other = _other_than(book)
    found = _in_order(session, _neighbours(session, book.id), other)
    if rows := _distinct(found, limit):
        return Found("text", rows)
    for basis, statement in _fallbacks(book):
        chosen = session.execute(statement.where(*other).limit(2 * limit)).all()
        if rows := _distinct(chosen, limit):
            return Found(basis, rows)
    return NOTHING


def to_text(session: Session, q: str, *, limit: int) -> Found:
    """Books whose own words are most like those of the text, and then what is like the first of them."""
    nearest = _nearest(session, q, 2 * limit)
    if not nearest:
        return _searched(session, q, limit)
    nearest += [id for id in _neighbours(session, nearest[0]) if id not in nearest]
    return Found("text", _distinct(_in_order(session, nearest, []), limit))


def _nearest(session: Session, q: str, most: int) -> list[UUID]:
    known = session.execute(_KNOWN, {"q": q}).all()
    if not known:
        return []
    asked = {"terms": [row.term for row in known], "weights": [row.weight for row in known]}
    bounds = {"rare": _rarest(known), "considered": CONSIDERED, "most": most}
    return list(session.scalars(_NEAREST, asked | bounds))


def _rarest(known: Sequence[Any]) -> list[str]:
    """The words, the rarest first, for as long as few books have them; always one."""
    chosen: list[str] = []
    books = 0
    for row in known:
        books += row.books
        if chosen and books > CONSIDERED:
            break
        chosen.append(row.term)
    return chosen


def _searched(session: Session, q: str, limit: int) -> Found:
    """What the search finds, when the training knows none of the words."""
    filters = search.understood(session, Filters(q=q))
    by = [sort.column.desc() if sort.descending else sort.column for sort in search.order(filters, None)]
    rows = _distinct(session.execute(search.best(session, filters).order_by(*by).limit(2 * limit)).all(), limit)
    return Found("search", rows) if rows else NOTHING


def _neighbours(session: Session, id: UUID) -> list[UUID]:
    return session.scalar(select(SimilarBooks.neighbours).where(SimilarBooks.book_id == id)) or []


def _in_order(session: Session, ids: list[UUID], also: list[ColumnElement[bool]]) -> list[Row[Any]]:
    """These books, as far as they are on sale."""
    if not ids:
        return []
    rows = session.execute(views.statement().where(Book.id.in_(ids), Book.__table__.c.is_active, *also))
    found = {row.id: row for row in rows}
    return [found[id] for id in ids if id in found]


def _other_than(book: Row[Any]) -> list[ColumnElement[bool]]:
    """Neither the book itself nor another edition of it."""
    same = and_(Book.title == book.title, Book.author_names == book.author_names)
    return [Book.id != book.id, not_(same)]


def _distinct(rows: Iterable[Any], limit: int) -> list[Row[Any]]:
    """The first of each title: further formats of it say nothing new."""
    kept: dict[Any, Row[Any]] = {}
    for row in rows:
        kept.setdefault((row.title, row.author_names), row)
    return list(kept.values())[:limit]


def _fallbacks(book: Row[Any]) -> Iterator[tuple[str, Select[Any]]]:
    on_sale = views.statement().where(Book.__table__.c.is_active)
    bestselling = [sort.column.desc() for sort in search.order(Filters(), "bestselling")]
    if book.series_name:
        named = func.left(func.search_text(Book.series_name), 100)
        same = named == func.left(func.search_text(book.series_name), 100)
        yield "same_series", on_sale.where(same).order_by(Book.series_position.asc().nulls_last(), Book.id)
    if authors := [UUID(author["id"]) for author in book.authors]:
        written = select(BookAuthor.book_id).where(BookAuthor.author_id.in_(authors))
        yield "same_author", on_sale.where(Book.id.in_(written)).order_by(*bestselling)
    if genres := [UUID(genre["id"]) for genre in book.genres]:
        shelved = select(BookGenre.book_id).where(BookGenre.genre_id.in_(genres))
        yield "same_genre", on_sale.where(Book.id.in_(shelved)).order_by(*bestselling)
