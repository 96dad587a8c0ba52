"""Titles, authors and series that begin as somebody types, or have a word that does."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    String,
    Uuid,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    text,
    union,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session

from catalog_service.models import POPULARITY, Author, Book, BookAuthor

MOST = 10
AT_MOST_EACH = {"title": MOST, "author": 3, "series": 2}
CONSIDERED = 50  # of each kind, the most popular
POPULAR = 2_000
STRETCH = 500
_SHOWN = (Book.id, Book.title, Book.title_key, POPULARITY.label("popularity"))
# The orders of ix_books_title_prefix and ix_books_series_prefix.
_BY_TITLE = text("title_key USING ~<~")
_BY_SERIES = text('"left"(search_text(series_name), 100) USING ~<~')
ARTICLES = ("", "the ", "a ", "an ")


def beginning(session: Session, typed: str) -> list[dict[str, Any]]:
    """Up to ten of them: some of each kind, and more titles where there are no others."""
    key: str = (session.scalar(select(func.search_text(typed))) or "").strip()[:100]
    if not key:
        return []
    most = select(_most_popular(select(*_SHOWN, Book.search), POPULAR))
    popular = most.cte("popular").prefix_with("MATERIALIZED", dialect="postgresql")
    rows = session.execute(union_all(_titles(popular, key, typed), _authors(popular, key, typed), _series(key))).all()
    found: dict[str, list[Any]] = {kind: [] for kind in AT_MOST_EACH}
    for row in sorted(rows, key=lambda row: (not row.begins, -row.popularity)):
        if row.text not in [other.text for other in found[row.kind]]:
            found[row.kind].append(row)
    return [_document(row) for row in _chosen(found)]


def _chosen(found: dict[str, list[Any]]) -> list[Any]:
    others = [row for kind in ("author", "series") for row in found[kind][: AT_MOST_EACH[kind]]]
    return [*found["title"][: MOST - len(others)], *others]


def _document(row: Any) -> dict[str, Any]:
    return {"kind": row.kind, "text": row.text, "id": row.id}


def _titles(popular: CTE, key: str, typed: str) -> Any:
    """Those that begin so among the most popular books of all, and the first of the alphabet.

    So it costs the same whether many titles begin so or few: of the few, none is missed.
    """
    parts = []
    for article in ARTICLES:
        start = article + key
        stretch = select(*_SHOWN).where(Book.__table__.c.is_active, _begins(Book.title_key, start))
        parts.append(_titled(popular, True).where(_begins(popular.c.title_key, start)))
        parts.append(_titled(stretch.order_by(_BY_TITLE).limit(STRETCH).subquery(), True))
    with_words = select(*_SHOWN).where(_has_words(Book.search, typed))
    parts.append(_titled(_most_popular(with_words, CONSIDERED), False))
    found = union(*parts).subquery()
    return select(select(found).order_by(found.c.begins.desc(), found.c.popularity.desc()).limit(4 * MOST).subquery())


def _titled(books: Any, begins: bool) -> Select[Any]:
    return select(
        literal("title", String).label("kind"),
        books.c.title.label("text"),
        books.c.id.label("id"),
        books.c.popularity.label("popularity"),
        literal(begins).label("begins"),
    )


def _authors(popular: CTE, key: str, typed: str) -> Any:
    """Some by their names, and those of popular books, whose names are looked at once more."""
    words = func.search_query(typed, type_=TSQUERY)
    begins = _begins(func.search_text(Author.name), key)
    has_words = func.to_tsvector(text("'simple'::regconfig"), func.search_text(Author.name)).op("@@")(words)
    kind, none = literal("author"), literal(0)
    parts = [
        _on_sale(select(kind, Author.name, Author.id, none, literal(True)).where(begins)),
        _on_sale(select(kind, Author.name, Author.id, none, literal(False)).where(has_words)),
    ]
    written = _has_words(func.ts_filter(popular.c.search, text("'{b}'")), typed)
    books = select(popular.c.id, popular.c.popularity).where(written).limit(CONSIDERED).subquery()
    parts.append(
        select(kind, Author.name, Author.id, func.sum(books.c.popularity), begins)
        .join_from(books, BookAuthor, BookAuthor.book_id == books.c.id)
        .join(Author)
        .where(or_(begins, has_words))
        .group_by(Author.id)
    )
    return select(union_all(*(select(part.subquery()) for part in parts)).subquery())


def _on_sale(authors: Any) -> Any:
    """Ten of the first of them who have a book on sale: one after the other, without reading through all books."""
    some = authors.limit(STRETCH).subquery()
    held = select(BookAuthor.book_id).join(Book).where(BookAuthor.author_id == some.c.id, Book.__table__.c.is_active)
    return select(some).where(held.correlate(some).offset(0).exists()).limit(MOST)


def _series(key: str) -> Any:
    name = func.left(func.search_text(Book.series_name), 100)
    stretch = select(Book.series_name.label("name"), POPULARITY.label("popularity")).where(
        Book.__table__.c.is_active, _begins(name, key)
    )
    considered = stretch.order_by(_BY_SERIES).limit(STRETCH).subquery()
    popularity = func.sum(considered.c.popularity)
    part = select(literal("series"), considered.c.name, cast(null(), Uuid), popularity, literal(True)).group_by(
        considered.c.name
    )
    return select(part.order_by(popularity.desc()).limit(MOST).subquery())


def _most_popular(books: Any, most: int) -> Any:
    on_sale = books.where(Book.__table__.c.is_active)
    return on_sale.order_by(POPULARITY.desc(), Book.id.desc()).limit(most).subquery()


def _has_words(search: Any, typed: str) -> ColumnElement[bool]:
    return search.op("@@")(func.search_query(typed, type_=TSQUERY))


def _begins(name: Any, key: str) -> ColumnElement[bool]:
    return name.startswith(key, autoescape=True)
