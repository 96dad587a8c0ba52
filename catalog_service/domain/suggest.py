"""Titles, authors and series that begin as somebody types."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, Uuid, cast, func, literal, null, select, union_all
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
    rows = session.execute(union_all(_titles(key), _authors(key), _series(key))).all()
    found: dict[str, list[Any]] = {kind: [] for kind in AT_MOST_EACH}
    for row in sorted(rows, key=lambda row: -row.popularity):
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


def _titles(key: str) -> Any:
    """One subquery for each article that a title may have in front: each reads one stretch of the index."""
    active = Book.__table__.c.is_active
    parts = [
        select(
            literal("title", String).label("kind"),
            Book.title.label("text"),
            Book.id.label("id"),
            _popularity().label("popularity"),
        )
        .where(active, Book.title_key.startswith(article + key, autoescape=True))
        .limit(CONSIDERED)
        .subquery()
        for article in ARTICLES
    ]
    considered = union_all(*(select(part) for part in parts)).subquery()
    return select(select(considered).order_by(considered.c.popularity.desc()).limit(4 * MOST).subquery())


def _authors(key: str) -> Any:
    named = func.search_text(Author.name).startswith(key, autoescape=True)
    part = select(literal("author"), Author.name, Author.id, literal(0)).where(named).order_by(Author.key)
    return select(part.limit(MOST).subquery())


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
    part = select(literal("series"), considered.c.name, cast(null(), Uuid), popularity).group_by(considered.c.name)
    return select(part.order_by(popularity.desc()).limit(MOST).subquery())
