"""How many of the books that a search finds are by which author, on which shelf, and so on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, ColumnElement, Integer, Select, String, case, cast, func, literal, select, union_all
from sqlalchemy.orm import Session

from catalog_service.domain.search import FACET_SIZE, Filters, conditions
from catalog_service.models import Author, Book, BookAuthor, BookGenre, Genre

NAMES = ("genre", "author", "publisher", "language", "format", "in_stock", "price", "rating")
PRICE_BANDS = (5, 10, 20, 50)


def count(session: Session, filters: Filters) -> dict[str, list[dict[str, Any]]]:
    """The most frequent values of each facet, each with the value to filter by, its name and its count."""
    found = (
        select(
            Book.id,
            Book.publisher,
            Book.language,
            Book.format,
            (Book.on_hand > Book.reserved).label("in_stock"),
            _price_band().label("price"),
            cast(func.floor(Book.rating_average), Integer).label("rating"),
        )
        .where(*conditions(filters))
        .cte("found")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    facets: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    for row in session.execute(union_all(*(select(part.subquery()) for part in _parts(found)))):
        facets[row.facet].append({"value": row.value, "name": row.name, "count": row.count})
    return facets


def _parts(found: CTE) -> list[Select[Any]]:
    return [
        _of_links(found, "genre", BookGenre, Genre, Genre.slug),
        _of_links(found, "author", BookAuthor, Author, cast(Author.id, String)),
        *(_of_column(name, found.c[name]) for name in ("publisher", "language", "format")),
        *(_of_column(name, cast(found.c[name], String)) for name in ("in_stock", "price", "rating")),
    ]


def _price_band() -> ColumnElement[str]:
    """From-to, as min_price and max_price take them; the last band is open."""
    lower = [0, *PRICE_BANDS]
    bands = [(Book.price < to, f"{start}-{to - 1}.99") for start, to in zip(lower, PRICE_BANDS, strict=False)]
    return case(*bands, else_=f"{PRICE_BANDS[-1]}-")


def _of_column(facet: str, column: Any) -> Select[Any]:
    counted = func.count().label("count")
    return (
        select(literal(facet).label("facet"), column.label("value"), column.label("name"), counted)
        .where(column.is_not(None))
        .group_by(column)
        .order_by(counted.desc(), column)
        .limit(FACET_SIZE)
    )


def _of_links(found: CTE, facet: str, link: Any, model: Any, value: Any) -> Select[Any]:
    counted = func.count().label("count")
    return (
        select(literal(facet).label("facet"), value.label("value"), model.name.label("name"), counted)
        .select_from(found)
        .join(link, link.book_id == found.c.id)
        .join(model)
        .group_by(model.id)
        .order_by(counted.desc(), model.key)
        .limit(FACET_SIZE)
    )
