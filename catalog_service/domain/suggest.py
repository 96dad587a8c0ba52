"""Titles, authors and series that begin as somebody types, or have a word that does."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, Uuid, cast, func, literal, null, or_, select, text, union_all
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session

from catalog_service.models import Author, Book

MOST = 10
AT_MOST_EACH = {"title": MOST, "author": 3, "series": 2}
CONSIDERED = 200  # of all that begin so; the most popular of these are shown
ARTICLES = ("", "the ", "a ", "an ")


def beginning(session: Session, typed: str) -> list[dict[str, Any]]:
    """Up to ten of them: some of each kind, and more titles where there are no others."""
    key: str = (session.scalar(select(func.search_text(typed))) or "").strip()[:100]
    if not key:
        return []
    rows = session.execute(union_all(_titles(key, typed), _authors(key, typed), _series(key))).all()
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


def _popularity() -> Any:
    return Book.rating_count + 10 * Book.units_sold


def _titles(key: str, typed: str) -> Any:
    """One subquery for each article that a title may have in front: each reads one stretch of the index."""
    parts = [_some_titles(Book.title_key.startswith(article + key, autoescape=True), True) for article in ARTICLES]
    parts.append(_some_titles(Book.search.op("@@")(func.search_query(typed, type_=TSQUERY)), False))
    considered = union_all(*(select(part) for part in parts)).subquery()
    best = select(considered).order_by(considered.c.begins.desc(), considered.c.popularity.desc())
    return select(best.limit(4 * MOST).subquery())


def _some_titles(matching: ColumnElement[bool], begins: bool) -> Any:
    return (
        select(
            literal("title", String).label("kind"),
            Book.title.label("text"),
            Book.id.label("id"),
            _popularity().label("popularity"),
            literal(begins).label("begins"),
        )
        .where(Book.__table__.c.is_active, matching)
        .limit(CONSIDERED)
        .subquery()
    )


def _authors(key: str, typed: str) -> Any:
    begins = func.search_text(Author.name).startswith(key, autoescape=True)
    indexed = func.to_tsvector(text("'simple'::regconfig"), func.search_text(Author.name))
    named = or_(begins, indexed.op("@@")(func.search_query(typed, type_=TSQUERY)))
    part = select(literal("author"), Author.name, Author.id, literal(0), begins.label("begins")).where(named)
    return select(part.order_by(begins.desc(), Author.key).limit(MOST).subquery())


def _series(key: str) -> Any:
    active = Book.__table__.c.is_active
    named = func.left(func.search_text(Book.series_name), 100).startswith(key, autoescape=True)
    considered = (
        select(Book.series_name.label("name"), _popularity().label("popularity"))
        .where(active, named)
        .limit(CONSIDERED)
        .subquery()
    )
    popularity = func.sum(considered.c.popularity)
    part = select(literal("series"), considered.c.name, cast(null(), Uuid), popularity, literal(True)).group_by(
        considered.c.name
    )
    return select(part.order_by(popularity.desc()).limit(MOST).subquery())
